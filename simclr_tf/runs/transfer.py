"""Transfer: logistic regression on frozen features of other data sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from simclr_tf import data
from simclr_tf.data.several_labels import names_of_several, several_labels
from simclr_tf.errors import SettingError
from simclr_tf.evaluation import extract_features, figures
from simclr_tf.evaluation.figures import Figure
from simclr_tf.evaluation.metrics import mean_average_precision, mean_per_class, top_1
from simclr_tf.evaluation.regularization_path import SETTINGS, Examples, fit_with_chosen_strength
from simclr_tf.runs.frozen import FrozenEncoder, check_finite
from simclr_tf.runs.pixels import see_as_trained

# SimCLR, appendix B.8, by the first part of TFDS's names, and by folders called so. All others of
# the twelve are judged by top-1: Food-101, CIFAR-10 and 100, Birdsnap, SUN397, Cars and DTD.
_PER_CLASS = ("oxford_iiit_pet", "caltech101", "oxford_flowers102", "fgvc_aircraft", "aircraft")
_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    figures.TOP_1: top_1,
    figures.MEAN_PER_CLASS: mean_per_class,
    figures.MEAN_PRECISION: mean_average_precision,
}
_WHOLE = 1.0  # of the shorter side: B.8 resizes that to 224 px and crops 224


@dataclasses.dataclass(frozen=True)
class _Task:
    """A data set and what is done with it.

    Attributes:
      dataset: with labels.
      fit: the split to fit on.
      choose: the split to choose the strength on, None for a part of the other.
      measure: the split to measure on.
      classes: how many there are.
      metric: by which it is judged.
    """

    dataset: data.ImageDataset
    fit: str
    choose: str | None
    measure: str
    classes: int
    metric: str


def transfer(frozen: FrozenEncoder) -> list[Figure]:
    """Fits the features of each of `transfer_datasets`, as SimCLR's appendix B.8 does.

    Where there are validation and test splits, the strength of regularization is chosen on the
    first, and the classifier is then fitted to that, too. No augmentation, and the whole central
    square.

    Args:
      frozen: the encoder.

    Raises:
      UserError: a data set cannot be had; before any is encoded.
    """
    tasks = [_open(name, frozen) for name in frozen.config.evaluation.transfer_datasets]
    return [_measure(frozen, task) for task in tasks]


def _open(name: str, frozen: FrozenEncoder) -> _Task:
    asked = frozen.config.data
    labels = asked.folder_labels
    try:
        dataset = data.load(
            name,
            data_dir=asked.data_dir,
            folder_labels="folders" if labels == "none" else labels,
            on_bad_image=asked.on_bad_image,
        )
        names = names_of_several(dataset)
        several = dataset.class_names is None and names is not None
        names = names if several else dataset.class_names
        if names is None:
            raise SettingError("dataset", name, "has no class labels", dataset.label_remedy)
        fit, choose, measure = _choose_splits(dataset)
        rule = frozen.weights.description.pixel_rule if frozen.weights else None
        dataset, notes = see_as_trained(frozen.config, dataset, fit, rule)
    except SettingError as error:
        if error.field != "dataset":
            raise
        raise SettingError("transfer_datasets", name, error.reason, error.remedy) from None
    print(*dataset.remarks, *notes, sep="\n", end="\n" if notes or dataset.remarks else "")
    metric = figures.MEAN_PRECISION if several else figures.TOP_1
    if data.short_name(name).partition("/")[0].partition(":")[0] in _PER_CLASS:
        metric = figures.MEAN_PER_CLASS
    return _Task(dataset.labeled(), fit, choose, measure, len(names), metric)


def _choose_splits(dataset: data.ImageDataset) -> tuple[str, str | None, str]:
    """Returns the splits to fit on, to choose the strength on, and to measure on."""
    splits = dataset.splits
    if "train" in splits and "test" in splits:
        return "train", "validation" if "validation" in splits else None, "test"
    if "train" in splits and "validation" in splits:
        return "train", None, "validation"
    raise SettingError(
        "dataset",
        dataset.name,
        f"has no splits train and test, but {', '.join(splits)}",
        "leave it out",
    )


def _measure(frozen: FrozenEncoder, task: _Task) -> Figure:
    config, metric = frozen.config, _METRICS[task.metric]
    train = _examples(frozen, task, task.fit)
    validation = None if task.choose is None else _examples(frozen, task, task.choose)
    test = _examples(frozen, task, task.measure)
    fitted = fit_with_chosen_strength(
        train,
        classes=task.classes,
        metric=metric,
        seed=config.task.seed,
        validation=validation,
    )
    fit = task.fit if task.choose is None else f"{task.fit}+{task.choose}"
    labels = len(train[1]) + (0 if validation is None else len(validation[1]))
    figure = Figure(
        "transfer",
        task.dataset.name,
        task.metric,
        (metric(fitted.scores(test[0]), test[1]),),
        dataset=task.dataset.name,
        labels=labels,
        test_images=len(test[1]),
        settings={
            **SETTINGS,
            "strength": fitted.strength,
            "chosen on": task.choose or f"{fitted.held_out:,} of {task.fit}",
            "fitted on": fit,
            "measured on": task.measure,
        },
    )
    print(f"  {figure.case}: {figure.describe()}", flush=True)
    return figure


def _examples(frozen: FrozenEncoder, task: _Task, split: str) -> Examples:
    config, dataset = frozen.config, task.dataset
    with dataset.report_bad_images(config.task.model_dir):
        features, labels = extract_features(
            frozen.encoder,
            dataset,
            split=split,
            batch_size=config.evaluation.eval_batch_size,
            image_size=config.data.image_size,
            crop_proportion=_WHOLE,
        )
    check_finite(features, config, f"{dataset.name}, {split},")
    if task.metric == figures.MEAN_PRECISION:
        return features, several_labels(dataset, split)
    labeled = labels >= 0
    if not labeled.any():
        raise SettingError(
            "transfer_datasets", dataset.name, f": no image of {split} has a label", "leave it out"
        )
    return features[labeled], labels[labeled]
