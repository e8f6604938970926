"""What probing and evaluating share: a frozen encoder, and data with labels to measure it by."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from simclr_tf import data
from simclr_tf.checkpoints import StoredWeights, restore_parts
from simclr_tf.config import Config
from simclr_tf.data.labels import balanced_subset
from simclr_tf.errors import SettingError, as_flags
from simclr_tf.evaluation import extract_features, logistic_regression_accuracy
from simclr_tf.pixel_rule import PixelRule
from simclr_tf.runs.folder import (
    check_writable,
    describe_network,
    holds_checkpoint,
    stored_config,
)
from simclr_tf.runs.health import holds_head
from simclr_tf.runs.identity import adopt_probed_run
from simclr_tf.runs.initial_weights import open_weights
from simclr_tf.runs.labels import labeled_only, name_classes
from simclr_tf.runs.pixels import begin_with
from simclr_tf.runs.preparation import open_dataset, open_evaluated, open_one_device
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network

DRAWS = 10
"""Subsets of the labels drawn for each fraction: with few labels the draw matters by percents."""

# Who gives one of these wants figures of labels.
_OF_LABELS = {"eval_dataset", "folder_labels", "label_fractions", "labels_per_class"}

Examples = tuple[np.ndarray, np.ndarray]
"""Features float32 [n, dim] and labels int64 [n]."""


@dataclasses.dataclass(frozen=True)
class FrozenEncoder:
    """An encoder that is measured, and what it is measured by.

    Attributes:
      config: what was asked, with what the weights and the run in `model_dir` have decided.
      weights: of the encoder; None for an untrained one.
      network: the encoder, and the projection head if `has_head`.
      has_head: whether that belongs to it; an untrained one has one.
      origin: of the weights, in words.
      train_set: with `train_split`, to fit on.
      test_set: with `eval_split`, to measure on. Both give a class the same number.
      has_labels: whether there are any; if not, both sets are one.
    """

    config: Config
    weights: StoredWeights | None
    network: Network
    has_head: bool
    origin: str
    train_set: data.ImageDataset
    test_set: data.ImageDataset
    has_labels: bool

    @property
    def encoder(self) -> tf.keras.Model:
        """Images float32 [batch, h, w, 3] in [0, 1] -> features h."""
        return self.network.encoder

    @property
    def num_classes(self) -> int:
        """How many classes the data set has."""
        assert self.train_set.num_classes is not None  # it has labels
        return self.train_set.num_classes

    def examples(self) -> tuple[Examples, Examples]:
        """Returns features and labels to fit on, and those to measure on.

        Raises:
          SettingError: labels or features are of no use.
        """
        config = self.config
        with contextlib.ExitStack() as stack:
            for dataset in {id(each): each for each in (self.train_set, self.test_set)}.values():
                stack.enter_context(dataset.report_bad_images(config.task.model_dir))
            train = labeled_examples(self.encoder, self.train_set, config, "train_split")
            test = labeled_examples(self.encoder, self.test_set, config, "eval_split")
        check_two_classes(train[1], config.data.train_split)
        return train, test


def open_frozen(
    config: Config, *, needs_labels: bool = True, without: str = "health is all there is"
) -> FrozenEncoder:
    """Opens the encoder that `checkpoint`, or else the run in `model_dir`, holds, and the data.

    Without either the encoder is an untrained one, the floor that learned features must beat. Of a
    run it is the newest checkpoint, and the data are the run's own where no others are given.

    Args:
      config: what was asked.
      needs_labels: whether data without labels are of no use. Else they are where nothing is given
        that asks for labels.
      without: what follows where there are none, in words.

    Raises:
      UserError: bad input.
    """
    config, run = adopt_measured(config)
    config, weights = open_weights(config)
    rule = weights.description.pixel_rule if weights else None
    dataset = _open_training(config, run)
    has_labels = dataset.class_names is not None or bool(config.given & _OF_LABELS) or needs_labels
    if has_labels:
        train_set, test_set, notes = _with_labels(config, dataset, rule)
    else:
        train_set, told = begin_with(config, dataset, rule)
        remedy = as_flags(dataset.label_remedy)
        lack = f"{dataset.name} has no class labels, so {without}; {remedy}"
        test_set, notes = train_set, [*dataset.remarks, *told, lack]
    print(*notes, sep="\n")
    if config.task.model_dir:
        check_writable(config.task.model_dir)
    open_one_device(config)
    network = build_plain(config.architecture)
    parts, has_head = network.parts, holds_head(weights)
    if not has_head:
        del parts["projection_head"]
    origin = "untrained encoder"
    if weights is not None:
        partial = config.task.allow_partial_checkpoint
        origin = restore_parts(parts, weights, allow_partial=partial)
    return FrozenEncoder(
        config, weights, network, has_head, origin, train_set, test_set, has_labels
    )


def open_labeled(
    config: Config, run: str, rule: PixelRule | None
) -> tuple[data.ImageDataset, data.ImageDataset, list[str]]:
    """Opens what is fitted on, and what is measured on.

    Args:
      config: what was asked.
      run: as in `open_dataset`.
      rule: of the weights' pictures, None where there is none.

    Returns:
      Both, and what is to be said of them, a line each.

    Raises:
      UserError: they cannot be had, or have no labels.
    """
    return _with_labels(config, _open_training(config, run), rule)


def _open_training(config: Config, run: str) -> data.ImageDataset:
    dataset = open_dataset(config, run=run)
    dataset.check_split(config.data.train_split, field="train_split")
    return dataset


def _with_labels(
    config: Config, dataset: data.ImageDataset, rule: PixelRule | None
) -> tuple[data.ImageDataset, data.ImageDataset, list[str]]:
    asked = config.data
    splits = {"train_split": asked.train_split}
    if asked.eval_dataset is None:
        dataset.check_split(asked.eval_split, field="eval_split")
        splits["eval_split"] = asked.eval_split
    dataset, notes = labeled_only(dataset, splits)
    dataset, told = begin_with(config, dataset, rule)
    notes = [*dataset.remarks, *told, *notes]
    notes += [name_classes(dataset, split) for split in dict.fromkeys(splits.values())]
    if asked.eval_dataset is None:
        return dataset, dataset, notes
    network = describe_network(config, dataset.num_classes, dataset)
    test, more = open_evaluated(config, network, f"`dataset={asked.dataset}`")
    return dataset, test, notes + more


def labeled_examples(
    encoder: tf.keras.Model, dataset: data.ImageDataset, config: Config, field: str
) -> Examples:
    """Returns features and labels of the split that `field` names.

    Raises:
      SettingError: none has a label, or features are no numbers.
    """
    split = getattr(config.data, field)
    features, labels = extract_features(
        encoder,
        dataset,
        split=split,
        batch_size=config.evaluation.eval_batch_size,
        image_size=config.data.image_size,
    )
    labeled = labels >= 0
    if not labeled.any():
        raise SettingError(field, split, ": no image of it has a label", "give another split")
    check_finite(features, config, split)
    return features[labeled], labels[labeled]


def check_finite(features: np.ndarray, config: Config, split: str) -> None:
    """Raises SettingError where features are no numbers: of weights that have diverged."""
    broken = int(np.sum(~np.isfinite(features).all(axis=1)))
    if broken:
        raise SettingError(
            "checkpoint",
            config.task.checkpoint or None,
            f": features of {broken:,} of {len(features):,} images of {split} are no numbers",
            "give a checkpoint of an earlier step",
        )


def per_class(fraction: float, labels: np.ndarray) -> int:
    """Returns how many labels of each class a fraction of them is, one at least."""
    return max(1, round(fraction * len(labels) / len(np.unique(labels))))


def draw_labels(labels: np.ndarray, each: int | None, *, seed: int) -> list[np.ndarray]:
    """Returns the places of `DRAWS` subsets of so many labels of each class.

    Args:
      labels: int64 [n].
      each: labels of each class, all of one that has fewer. None for all: then there is one draw.
      seed: of the first draw; the next ones follow.
    """
    if each is None:
        return [np.arange(len(labels))]
    return [balanced_subset(labels, each, seed=seed + draw) for draw in range(DRAWS)]


def fit_draws(train: Examples, test: Examples, draws: Sequence[np.ndarray]) -> list[float]:
    """Returns the accuracy of logistic regression on each draw of `draw_labels`.

    Args:
      train: that was drawn from.
      test: to measure on.
      draws: places of examples in `train`.
    """
    features, labels = train
    return [logistic_regression_accuracy(features[some], labels[some], *test) for some in draws]


def label_sets(labels: np.ndarray, config: Config) -> Iterator[tuple[str, int | None]]:
    """Yields names of sets of labels to fit on, and how many of each class; None for all.

    Args:
      labels: int64 [n], of which `label_fractions` are taken, and `labels_per_class` if asked for.
      config: what was asked.
    """
    for fraction in config.evaluation.label_fractions:
        yield f"{fraction:g}", per_class(fraction, labels) if fraction < 1 else None
    if config.data.labels_per_class:
        yield f"{config.data.labels_per_class}_per_class", config.data.labels_per_class


def adopt_measured(config: Config) -> tuple[Config, str]:
    """Returns `config` for the run that `model_dir` holds; and its folder, if its data are read.

    Raises:
      UserError: the run has no checkpoint yet, or a file of it is damaged.
    """
    folder = config.task.model_dir
    stored = stored_config(folder) if folder else None
    if config.task.checkpoint or not folder:
        return config, ""
    if not holds_checkpoint(folder):
        if stored is None:
            return config, ""
        raise SettingError(
            "model_dir",
            folder,
            "holds a run that has no checkpoint yet",
            "wait for one, or give another `model_dir` to measure an untrained encoder",
        )
    config = config.replace(checkpoint=folder)
    if stored is None:
        return config, ""
    config, same = adopt_probed_run(config, stored)
    return config, folder if same else ""


def check_two_classes(labels: np.ndarray, split: str) -> None:
    """Raises SettingError for one. What TFDS holds, and which files are bad, is known by now."""
    if len(np.unique(labels)) < 2:
        raise SettingError(
            "train_split",
            split,
            ": all images that have a label and can be read are of one class",
            "give images of another, too",
        )
