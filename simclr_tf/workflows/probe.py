"""Probe: what the frozen features of an encoder are worth, by kNN and logistic regression."""

from __future__ import annotations

import dataclasses

import numpy as np

from simclr_tf import data, files
from simclr_tf.checkpoints import restore_parts
from simclr_tf.config import Config
from simclr_tf.evaluation import (
    balanced_subset,
    extract_features,
    knn_accuracy,
    logistic_regression_accuracy,
)
from simclr_tf.runs.folder import check_writable, writing
from simclr_tf.runs.initial_weights import open_weights
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
    settings = {
        "batch_size": config.evaluation.eval_batch_size,
        "image_size": config.data.image_size,
    }
    with dataset.report_bad_images(config.task.model_dir):
        train = extract_features(encoder, dataset, split=config.data.train_split, **settings)
        test = extract_features(encoder, dataset, split=config.data.eval_split, **settings)
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
    for split in (config.data.train_split, config.data.eval_split):
        dataset.check_labels(split)
    return dataset


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
