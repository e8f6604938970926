"""Which labels a run learns from and is measured by. Names say which class is which, not places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simclr_tf import data
from simclr_tf.checkpoints import Description
from simclr_tf.config import Config
from simclr_tf.data.folder import PREFIX
from simclr_tf.data.labels import NO_LABEL, LabelSample, describe_classes, number_classes
from simclr_tf.errors import SettingError
from simclr_tf.runs.folder import holds_checkpoint, stored_network

Told = tuple[data.ImageDataset, list[str]]
"""A data set, and what is to be said of it, a line each."""

_CLASSES = {"train_split": 2, "eval_split": 1}  # to learn, and to be measured
_SHOWN = 5  # names of classes


def choose_labels(config: Config, dataset: data.ImageDataset) -> tuple[int | None, Told]:
    """Decides what a training run does with labels.

    Args:
      config: what was asked, with its model_dir.
      dataset: as it was opened.

    Returns:
      How many classes the supervised head tells apart, None for no head; and the data set as the
      run learns from it, with its classes numbered as the run's network numbers them.

    Raises:
      SettingError: labels are missing where they are needed, or the run knows other classes.
    """
    folder = config.task.model_dir
    known = stored_network(folder) if holds_checkpoint(folder) else None
    splits = {"train_split": config.data.train_split}
    if config.task.mode == "train_then_eval" and config.data.eval_dataset is None:
        splits["eval_split"] = config.data.eval_split
    if config.task.pretraining and config.loss.loss == "supcon":
        _check_classes(dataset, config.data.train_split, ("loss", "supcon", "nt_xent"))
    left_out = _why_no_probe(config, dataset, known) if config.task.pretraining else None
    if left_out is not None:
        return None, (dataset, [left_out] if left_out else [])
    notes: list[str] = []
    if known is not None and known.num_classes is not None:
        dataset, notes = _continue_classes(dataset, known, folder)
    if not config.task.pretraining:
        dataset, more = labeled_only(dataset, splits)
    else:
        if "eval_split" in splits:
            dataset.check_labels(splits["eval_split"], field="eval_split")
        samples = _sample(dataset, splits)
        more = _describe(dataset, samples, "the online probe leaves out the others")
    return dataset.num_classes, (dataset, notes + more)


def choose_taught(config: Config, dataset: data.ImageDataset, teacher: Description) -> Told:
    """Decides what a student does with labels; its classes are its teacher's.

    Args:
      config: what was asked.
      dataset: as it was opened. No image is left out.
      teacher: with a classifier.

    Returns:
      The data set as the student learns from it, with the teacher's classes.

    Raises:
      SettingError: labels are asked for, and there are none, or of classes that the teacher does
        not know.
    """
    path = config.distillation.teacher
    if config.distillation.reads_labels:
        weight, split = config.distillation.distill_weight, config.data.train_split
        _check_classes(dataset, split, ("distill_weight", f"{weight:g}", "1"), least=1)
        return numbered_as_trained(dataset, teacher, f"`teacher={path}`")
    names = teacher.class_names
    if names is None:  # of the reference release
        own = dataset.class_names or []
        same = len(own) == teacher.num_classes
        names = tuple(own) if same else tuple(map(str, range(teacher.num_classes or 0)))
    notes = [f"{dataset.name}: no label is read; classes are the teacher's: {_list(names)}"]
    return dataset.unlabeled_as(names), notes


def labeled_only(dataset: data.ImageDataset, splits: Mapping[str, str]) -> Told:
    """Leaves out the images that have no label.

    Args:
      dataset: as it was opened.
      splits: what is read, by setting.

    Raises:
      SettingError: there are no labels in a part of a split, or in `train_split` of one class only.
    """
    for field, split in splits.items():
        dataset.check_labels(split, field=field, classes=_CLASSES[field])
    samples = _sample(dataset, splits)
    for field, sample in samples:
        if sample.total and (sample.labels == NO_LABEL).all():
            raise SettingError(field, splits[field], f": {sample.describe()}", "leave it out")
    return dataset.labeled(), _describe(dataset, samples, "the others are left out")


def numbered_as_trained(dataset: data.ImageDataset, network: Description, setting: str) -> Told:
    """Numbers the classes of the data set as a network does, to evaluate it.

    Args:
      dataset: with labels.
      network: with a classifier.
      setting: the network's, between backticks, for errors.

    Raises:
      SettingError: the network does not know all classes.
    """
    own, names = dataset.class_names or [], network.class_names
    if names is not None:
        if own == list(names):
            return dataset, []
        unknown = _missing(own, names)
        counted = _are_counted(own, dataset.name) or _are_counted(names, network.dataset)
        if not unknown and (len(own) == len(names) or not counted):
            some = f"{len(own)} of its {len(names)}" if len(own) < len(names) else "all"
            return dataset.labels_as(names), [
                f"{dataset.name}: classes go by the network's names, {some}"
            ]
        if not counted:
            raise SettingError(
                "dataset",
                dataset.name,
                f"has classes that {setting} does not know: {_list(unknown)}",
                f"leave their images out; it knows {_list(names)}",
            )
    if len(own) != network.num_classes:
        raise SettingError(
            "dataset",
            dataset.name,
            f"has {len(own):,} classes, {setting} {network.num_classes:,}",
            "give a data set of the same classes",
        )
    same = network.dataset == dataset.name and not dataset.name.startswith(PREFIX)
    return dataset, [] if same else [f"{dataset.name}: no names in common, classes go by position"]


def name_classes(dataset: data.ImageDataset, split: str) -> str:
    """Returns a line with the classes of a split, and how many images of it each has if known."""
    assert dataset.class_names is not None
    classes = describe_classes(dataset.class_names, dataset.sample_labels(split))
    return f"{dataset.name}, {split}: {classes}"


def check_few(config: Config, dataset: data.ImageDataset) -> list[str]:
    """Checks that `labels_per_class` could be had.

    Args:
      config: what was asked.
      dataset: with these few images of `train_split`.

    Returns:
      A line, if there are fewer of a class.

    Raises:
      SettingError: there is none of a class.
    """
    split, wanted = config.data.train_split, config.data.labels_per_class
    if not wanted:
        return []
    names = dataset.class_names or []
    (sample,) = dataset.sample_labels(split)
    counts = dict(zip(names, np.bincount(sample.labels, minlength=len(names))))
    none = [name for name, count in counts.items() if not count]
    if none:
        raise SettingError(
            "labels_per_class",
            wanted,
            f": no image of {split} has the label {_list(none)}",
            "label some, give another `train_split`, or leave these classes out",
        )
    fewer = [f"{name} ({count:,})" for name, count in counts.items() if count < wanted]
    few = f"{dataset.name}, {split}: fewer than {wanted:,} labels of {_list(fewer)}"
    return [few] if fewer else []


def without_probe(folder: str) -> SettingError:
    """Returns the error to raise where the run in `folder` has no classifier to evaluate."""
    return SettingError(
        "model_dir",
        folder,
        "was pre-trained without a linear probe",
        f"measure its features with `mode=probe` `checkpoint={folder}`",
    )


def _check_classes(
    dataset: data.ImageDataset, split: str, setting: tuple[str, str, str], *, least: int = 2
) -> None:
    """Raises SettingError where a loss of classes has none to learn from.

    Args:
      dataset: as it was opened.
      split: what is learned from.
      setting: that asks for labels, its value, and one that does not.
      least: how many classes there must be.
    """
    name, value, without = setting
    try:
        dataset.check_labels(split, field="train_split", classes=least)
    except SettingError as error:
        otherwise = f"take `{name}={without}`"
        raise SettingError(
            name,
            value,
            f"learns from classes, and `{error.field}={error.value}` {error.reason.lstrip(': ')}",
            f"{error.remedy}, or {otherwise}" if error.remedy else otherwise,
        ) from None


def _why_no_probe(
    config: Config, dataset: data.ImageDataset, known: Description | None
) -> str | None:
    """Returns why pre-training has no online linear probe, "" where that is no news.

    Returns None where it has one: what is continued keeps what it has.
    """
    if not config.loss.lineareval_while_pretraining:
        return ""
    folder, measured = config.task.model_dir, config.task.mode == "train_then_eval"
    if known is not None:
        if known.num_classes is None and measured:
            raise without_probe(folder)
        return "" if known.num_classes is None else None
    try:
        split = config.data.train_split
        dataset.check_labels(split, field="train_split", classes=_CLASSES["train_split"])
    except SettingError as error:
        # Images without labels are what pre-training is for: the probe is there if labels are.
        if measured or "lineareval_while_pretraining" in config.given:
            raise
        return f"no online linear probe of {split}{error.reason}" if dataset.class_names else ""
    return None


def _continue_classes(dataset: data.ImageDataset, known: Description, folder: str) -> Told:
    """Numbers classes as the run in `folder` does. Raises SettingError if it has others."""
    own, names = dataset.class_names or [], known.class_names
    if names is None:
        changes = f"{known.num_classes} then, {len(own)} now"
        changed = len(own) != known.num_classes
    else:
        new, gone = _missing(own, names), _missing(names, own)
        parts = [f"{word}: {_list(some)}" for word, some in (("new", new), ("gone", gone)) if some]
        changes, changed = ", ".join(parts), bool(parts)
    if changed:
        raise SettingError(
            "model_dir",
            folder,
            f"holds a run of other classes than {dataset.name} has now ({changes})",
            "undo that (rename them back) to continue it, or give another `model_dir`, with "
            f"`checkpoint={folder}` to start from its weights",
        )
    if names is None:
        unsure = dataset.name.startswith(PREFIX)
        return dataset, ["the run did not store its classes' names, they go by position"] * unsure
    if own == list(names):
        return dataset, []
    return dataset.labels_as(names), [f"{dataset.name}: classes keep the numbers the run gave them"]


def _sample(dataset: data.ImageDataset, splits: Mapping[str, str]) -> list[tuple[str, LabelSample]]:
    """Returns labels of each part of each split, with the setting that names the split."""
    return [(field, s) for field, split in splits.items() for s in dataset.sample_labels(split)]


def _describe(
    dataset: data.ImageDataset, samples: Sequence[tuple[str, LabelSample]], then: str
) -> list[str]:
    """Returns a line for each part of the splits in which images have no label."""
    lines = dict.fromkeys(sample.describe() for _, sample in samples)
    return [f"{dataset.name}: {line}; {then}" for line in lines if line]


def _missing(names: Sequence[str], among: Sequence[str]) -> list[str]:
    numbers = number_classes(names, among)
    return [name for name, number in zip(names, numbers) if number == NO_LABEL]


def _are_counted(names: Sequence[str], dataset: str | None) -> bool:
    """Whether these are TensorFlow Datasets' numbers of classes that nobody has named."""
    numbers = [str(number) for number in range(len(names))]
    return list(names) == numbers and not (dataset or "").startswith(PREFIX)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
