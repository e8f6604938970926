"""Probe: what the frozen features of an encoder are worth, by kNN and logistic regression."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from simclr_tf import data, files
from simclr_tf.checkpoints import restore_parts
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.evaluation import (
    balanced_subset,
    extract_features,
    knn_accuracy,
    logistic_regression_accuracy,
)
from simclr_tf.runs.folder import check_writable, writing
from simclr_tf.runs.initial_weights import open_weights
from simclr_tf.runs.labels import labeled_only
from simclr_tf.runs.preparation import open_dataset, open_devices
from simclr_tf.training.build import build_plain

DRAWS = 10
"""Subsets of the labels drawn for each fraction: with few labels the draw matters by percents."""

Examples = tuple[np.ndarray, np.ndarray]
"""Features float32 [n, dim] and labels int64 [n]."""


def probe(config: Config) -> dict[str, float]:
    """Measures features h on `eval_split`, fitted on shares of `train_split`'s labels.

    Args:
      config: what was asked. Without `checkpoint` the encoder is an untrained one, the floor that
        learned features must beat. With `model_dir`, probe.json is written there.

    Returns:
      Accuracies by name, means over `DRAWS` subsets of the labels.

    Raises:
      UserError: bad input.
    """
    config, weights = open_weights(config)
    dataset = _open_labeled(config)
    if config.task.model_dir:
        check_writable(config.task.model_dir)
    hardware = config.hardware
    if not hardware.on_tpu:  # nothing is trained that devices could share
        hardware = dataclasses.replace(hardware, strategy="one_device")
    open_devices(hardware, seed=config.task.seed, alone=True)
    encoder = build_plain(config.architecture).encoder
    origin = "untrained encoder"
    if weights is not None:
        partial = config.task.allow_partial_checkpoint
        origin = restore_parts({"encoder": encoder}, weights, allow_partial=partial)
    print(f"probing on {config.data.dataset}: {origin}", flush=True)
    with dataset.report_bad_images(config.task.model_dir):
        train = _examples(encoder, dataset, config, "train_split")
        test = _examples(encoder, dataset, config, "eval_split")
    _check_two_classes(train[1], config.data.train_split)
    result = {"knn": knn_accuracy(*train, *test)}
    print(f"  kNN (k 200, T 0.1), {len(train[1]):,} labels: {result['knn']:.2%}", flush=True)
    for fraction in config.evaluation.label_fractions:
        name = f"logistic_regression/{fraction:g}"
        result[name] = _measure_fraction(train, test, fraction, seed=config.task.seed)
    if config.task.model_dir:
        with writing(config.task.model_dir, f"probe.json, {result},"):
            files.write_json(files.join(config.task.model_dir, "probe.json"), result)
    return result


def _open_labeled(config: Config) -> data.ImageDataset:
    dataset = open_dataset(config.data)
    dataset.check_split(config.data.train_split, field="train_split")
    dataset.check_split(config.data.eval_split, field="eval_split")
    asked = config.data
    dataset, notes = labeled_only(
        dataset, {"train_split": asked.train_split, "eval_split": asked.eval_split}
    )
    for note in notes:
        print(note)
    return dataset


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
            "its training has diverged; give a checkpoint of an earlier step",
        )
    return features[labeled], labels[labeled]


def _measure_fraction(train: Examples, test: Examples, fraction: float, *, seed: int) -> float:
    """Prints and returns the accuracy with a share of the labels, the mean over draws of them."""
    accuracies = []
    for draw in range(DRAWS if fraction < 1 else 1):
        chosen = balanced_subset(train[1], fraction, seed=seed + draw)
        accuracies.append(logistic_regression_accuracy(train[0][chosen], train[1][chosen], *test))
    mean = float(np.mean(accuracies))
    spread = f" +- {np.std(accuracies):.2%} over {DRAWS} draws" if fraction < 1 else ""
    print(f"  logistic regression, {len(chosen):,} labels: {mean:.2%}{spread}", flush=True)
    return mean
