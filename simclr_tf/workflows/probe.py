"""Probe: what the frozen features of an encoder are worth, by kNN, logistic regression, health."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from simclr_tf import data, files
from simclr_tf.checkpoints import restore_parts
from simclr_tf.config import Config
from simclr_tf.data.labels import balanced_subset
from simclr_tf.errors import SettingError, as_flags
from simclr_tf.evaluation import (
    choose_k,
    describe_accuracy,
    extract_features,
    knn_accuracy,
    logistic_regression_accuracy,
)
from simclr_tf.evaluation.knn import TEMPERATURE
from simclr_tf.pixel_rule import PixelRule
from simclr_tf.runs.folder import (
    check_writable,
    describe_network,
    holds_checkpoint,
    stored_config,
    writing,
)
from simclr_tf.runs.health import holds_head, probe_health
from simclr_tf.runs.identity import adopt_probed_run
from simclr_tf.runs.initial_weights import open_weights
from simclr_tf.runs.labels import labeled_only, name_classes
from simclr_tf.runs.pixels import begin_with
from simclr_tf.runs.preparation import open_dataset, open_devices, open_evaluated
from simclr_tf.training.build import build_plain

DRAWS = 10
"""Subsets of the labels drawn for each fraction: with few labels the draw matters by percents."""

# Who gives one of these wants accuracies.
_OF_LABELS = {"eval_dataset", "folder_labels", "label_fractions", "labels_per_class"}

Examples = tuple[np.ndarray, np.ndarray]
"""Features float32 [n, dim] and labels int64 [n]."""


def probe(config: Config) -> dict[str, float]:
    """Measures features h on `eval_split`, fitted on shares of `train_split`'s labels.

    And health of h and z on images of `train_split`, see `runs.health`; where a data set has no
    labels, and nothing is given that asks for some, that alone.

    Args:
      config: what was asked. Where `model_dir` holds a run, and no `checkpoint` is given, it is the
        run's newest that is measured, with the run's own data where no others are given. Without
        either the encoder is an untrained one, the floor that learned features must beat. With
        `model_dir`, probe.json is written there.

    Returns:
      Accuracies by name, means over `DRAWS` subsets of the labels; and `knn_k`, `knn_temperature`
      and the number of `labels` and of `test_images`; and health.

    Raises:
      UserError: bad input.
    """
    config, run = _adopt_run(config)
    config, weights = open_weights(config)
    rule = weights.description.pixel_rule if weights else None
    train_set, test_set = _open_data(config, run, rule)
    if config.task.model_dir:
        check_writable(config.task.model_dir)
    hardware = config.hardware
    if not hardware.on_tpu:  # nothing is trained that devices could share
        hardware = dataclasses.replace(hardware, strategy="one_device")
    open_devices(hardware, seed=config.task.seed, alone=True)
    network = build_plain(config.architecture)
    encoder, parts = network.encoder, network.parts
    if not holds_head(weights):
        del parts["projection_head"]
    origin = "untrained encoder"
    if weights is not None:
        partial = config.task.allow_partial_checkpoint
        origin = restore_parts(parts, weights, allow_partial=partial)
    print(f"probing on {config.data.dataset}: {origin}", flush=True)
    result: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        for dataset in {id(each): each for each in (train_set, test_set) if each}.values():
            stack.enter_context(dataset.report_bad_images(config.task.model_dir))
        if test_set is not None:
            train = _examples(encoder, train_set, config, "train_split")
            test = _examples(encoder, test_set, config, "eval_split")
            _check_two_classes(train[1], config.data.train_split)
            result |= _measure(train, test, config)
        result |= probe_health(config, train_set, network, with_head="projection_head" in parts)
    if config.task.model_dir:
        with writing(config.task.model_dir, f"probe.json, {result},"):
            files.write_json(files.join(config.task.model_dir, "probe.json"), result)
    return result


def _adopt_run(config: Config) -> tuple[Config, str]:
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
            "wait for one, or give another `model_dir` to probe an untrained encoder",
        )
    config = config.replace(checkpoint=folder)
    if stored is None:
        return config, ""
    config, same = adopt_probed_run(config, stored)
    return config, folder if same else ""


def _open_data(
    config: Config, run: str, rule: PixelRule | None
) -> tuple[data.ImageDataset, data.ImageDataset | None]:
    """Opens what is fitted on, and what accuracies are measured on, None where there are no labels.

    Args:
      config: what was asked.
      run: as in `open_dataset`.
      rule: of the weights' pictures, None where there is none.
    """
    asked = config.data
    dataset = open_dataset(config, run=run)
    dataset.check_split(asked.train_split, field="train_split")
    splits = {"train_split": asked.train_split}
    if dataset.class_names is None and not config.given & _OF_LABELS:
        dataset, told = begin_with(config, dataset, rule)
        remedy = as_flags(dataset.label_remedy)
        lack = f"{dataset.name} has no class labels, so health is all there is; {remedy}"
        print(*dataset.remarks, *told, lack, sep="\n")
        return dataset, None
    if asked.eval_dataset is None:
        dataset.check_split(asked.eval_split, field="eval_split")
        splits["eval_split"] = asked.eval_split
    dataset, notes = labeled_only(dataset, splits)
    dataset, told = begin_with(config, dataset, rule)
    notes = [*dataset.remarks, *told, *notes]
    notes += [name_classes(dataset, split) for split in dict.fromkeys(splits.values())]
    test = dataset
    if asked.eval_dataset is not None:
        network = describe_network(config, dataset.num_classes, dataset)
        test, more = open_evaluated(config, network, f"`dataset={asked.dataset}`")
        notes += more
    print(*notes, sep="\n")
    return dataset, test


def _check_two_classes(labels: np.ndarray, split: str) -> None:
    """Raises SettingError for one. What TFDS holds, and which files are bad, is known by now."""
    if len(np.unique(labels)) < 2:
        raise SettingError(
            "train_split",
            split,
            ": all images that have a label and can be read are of one class",
            "give images of another, too",
        )


def _examples(
    encoder: tf.keras.Model, dataset: data.ImageDataset, config: Config, field: str
) -> Examples:
    """Returns features and labels of the split that `field` names. Raises SettingError for none."""
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
    broken = int(np.sum(~np.isfinite(features).all(axis=1)))
    if broken:
        raise SettingError(
            "checkpoint",
            config.task.checkpoint or None,
            f": features of {broken:,} of {len(features):,} images of {split} are no numbers",
            "give a checkpoint of an earlier step",
        )
    return features[labeled], labels[labeled]


def _measure(train: Examples, test: Examples, config: Config) -> dict[str, float]:
    """Prints and returns what probe.json holds."""
    labels, tested = len(train[1]), len(test[1])
    k = choose_k(train[1])
    result: dict[str, float] = {"knn": knn_accuracy(*train, *test, k=k)}
    figure = describe_accuracy(result["knn"], tested)
    print(f"  kNN (k {k}, T {TEMPERATURE:g}), {labels:,} labels: {figure}", flush=True)
    seen: dict[int | None, float] = {}
    for name, per_class in _label_sets(train[1], config):
        if per_class not in seen:
            seen[per_class] = _fit(train, test, per_class, seed=config.task.seed)
        result[f"logistic_regression/{name}"] = seen[per_class]
    more = {"knn_k": k, "knn_temperature": TEMPERATURE, "labels": labels, "test_images": tested}
    return result | more


def _label_sets(labels: np.ndarray, config: Config) -> Iterator[tuple[str, int | None]]:
    """Yields names of sets of labels to fit on, and how many of each class; None for all."""
    classes = len(np.unique(labels))
    for fraction in config.evaluation.label_fractions:
        share = max(1, round(fraction * len(labels) / classes))
        yield f"{fraction:g}", share if fraction < 1 else None
    if config.data.labels_per_class:
        yield f"{config.data.labels_per_class}_per_class", config.data.labels_per_class


def _fit(train: Examples, test: Examples, per_class: int | None, *, seed: int) -> float:
    """Prints and returns the accuracy with a few of the labels, the mean over draws of them.

    Args:
      train: to draw from.
      test: to measure on.
      per_class: labels of each class; all of one that has fewer. None for all.
      seed: of the first draw.
    """
    features, labels = train
    draws = [np.arange(len(labels))]
    if per_class is not None:
        draws = [balanced_subset(labels, per_class, seed=seed + draw) for draw in range(DRAWS)]
    accuracies = [
        logistic_regression_accuracy(features[chosen], labels[chosen], *test) for chosen in draws
    ]
    mean, used = float(np.mean(accuracies)), f"{len(draws[0]):,} labels"
    if per_class is None:
        figure = describe_accuracy(mean, len(test[1]))
    else:
        counts = np.bincount(labels[draws[0]])
        few = counts[counts > 0].min()
        used += (
            f" ({few:,} to {per_class:,} of each class)"
            if few < per_class
            else (f" ({per_class:,} of each class)")
        )
        spread = float(np.std(accuracies))
        figure = f"{describe_accuracy(mean, len(test[1]), deviation=spread)}, {DRAWS} draws"
    print(f"  logistic regression, {used}: {figure}", flush=True)
    return mean
