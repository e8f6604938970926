"""Semi-supervised learning: fine-tuned on a few labels, beside the same network from scratch.

Each training is a run of its own below `model_dir`, which the same command continues.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from simclr_tf import data, files
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.evaluation import figures
from simclr_tf.evaluation.figures import Figure
from simclr_tf.runs.defaults import FROM_DATA
from simclr_tf.runs.folder import stored_config
from simclr_tf.runs.frozen import FrozenEncoder, per_class
from simclr_tf.validation import OF_EVALUATE
from simclr_tf.workflows.finetune import finetune

FOLDER = "semi_supervised"
PRETRAINED, SCRATCH = "pretrained", "from_scratch"

OFFICIAL = {
    ("imagenet2012", "train", 0.01): "imagenet2012_subset/1pct",
    ("imagenet2012", "train", 0.1): "imagenet2012_subset/10pct",
}
"""Lists of labels that everybody uses, as data sets of TFDS; by data set, split and fraction."""


@dataclasses.dataclass(frozen=True)
class FewLabels:
    """Labels to learn from.

    Attributes:
      name: of the folder of its runs.
      case: in words.
      settings: of the runs.
      count: of the labels.
    """

    name: str
    case: str
    settings: dict[str, Any]
    count: int


def semi_supervised(frozen: FrozenEncoder) -> list[Figure]:
    """Fine-tunes on `label_fractions` below 1, and trains the same network from scratch on them.

    SimCLR, appendix B.5, and SimCLRv2: the whole network, crops and flips. Optimizer and length
    are those of `train_mode=finetune`, as given or else by its defaults, and from scratch the same.

    Args:
      frozen: the encoder, whose weights are fine-tuned.
    """
    measured = []
    for fraction in frozen.config.evaluation.label_fractions:
        if fraction < 1:
            few = _few_labels(frozen, fraction)
            measured += _compare(frozen, few)
    return measured


def _few_labels(frozen: FrozenEncoder, fraction: float) -> FewLabels:
    config = frozen.config
    asked = config.data
    percent = f"{100 * fraction:g}%"
    name = f"{100 * fraction:g}pct"
    official = OFFICIAL.get((asked.dataset, asked.train_split, fraction))
    if official is not None:
        try:
            count = data.load(official, data_dir=asked.data_dir).num_examples("train")
        except SettingError as error:
            print(f"  {official} cannot be had ({error}): labels are drawn instead")
        else:
            other = asked.eval_dataset or asked.dataset
            settings = {"dataset": official, "train_split": "train", "eval_dataset": other}
            return FewLabels(name, f"{percent}: {count:,} labels of {official}", settings, count)
    labels = frozen.train_set.all_labels(asked.train_split)
    labels = labels[labels >= 0]
    each = per_class(fraction, labels)
    count = sum(min(each, int((labels == label).sum())) for label in set(labels.tolist()))
    case = f"{percent}: {count:,} labels, {each:,} of each class"
    return FewLabels(name, case, {"labels_per_class": each}, count)


def _compare(frozen: FrozenEncoder, few: FewLabels) -> list[Figure]:
    """Returns the figures of both ways to learn from a few labels, over all seeds."""
    task, evaluation = frozen.config.task, frozen.config.evaluation
    accuracies: dict[str, list[float]] = {PRETRAINED: [], SCRATCH: []}
    images = 0
    settings: dict[str, Any] = {}
    for seed in range(task.seed, task.seed + evaluation.seeds):
        for way, found in accuracies.items():
            config = _configure(frozen, few, way, seed)
            print(f"semi_supervised, {few.case}, seed {seed}, {way}:", flush=True)
            metrics = finetune(config, alone=False)
            found.append(metrics["eval/label_top_1_accuracy"])
            images = int(metrics["eval/examples"])
            settings = {**_rule(config), **settings}
    return [
        Figure(
            "semi_supervised",
            f"{few.case}, {way.replace('_', ' ')}",
            figures.TOP_1,
            tuple(found),
            dataset=frozen.test_set.name,
            labels=few.count,
            test_images=images,
            settings=settings,
            repeated="seeds",
        )
        for way, found in accuracies.items()
    ]


def _configure(frozen: FrozenEncoder, few: FewLabels, way: str, seed: int) -> Config:
    """Returns the configuration of one of the runs."""
    base = frozen.config
    folder = files.join(_folder(base, few, seed), way)
    config = base.replace(
        train_mode="finetune",
        mode="train_then_eval",
        model_dir=folder,
        seed=seed,
        strategy="one_device",
        transfer_datasets=(),
        **few.settings,
    )
    given = config.given.difference(OF_EVALUATE, ("transfer_datasets",))
    config = dataclasses.replace(config, given=given | {"model_dir"})
    if way == SCRATCH:
        # The data have decided the other one's rule; this one's is given, so that it is the same.
        rule = _rule(config.replace(model_dir=files.join(_folder(base, few, seed), PRETRAINED)))
        config = config.replace(checkpoint=None, allow_partial_checkpoint=False, **rule)
        config = dataclasses.replace(config, given=config.given - {"checkpoint"} | rule.keys())
    return config


def _folder(config: Config, few: FewLabels, seed: int) -> str:
    return files.join(config.task.model_dir, FOLDER, few.name, f"seed_{seed}")


def _rule(config: Config) -> dict[str, Any]:
    """Returns batch, length and optimizer of a run that has begun."""
    stored = stored_config(config.task.model_dir) or {}
    return {name: stored[name] for name in sorted(FROM_DATA)}
