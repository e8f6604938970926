"""Probe: what the frozen features of an encoder are worth, by kNN and logistic regression."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import restore_parts
from simclr_tf.config import Config
from simclr_tf.evaluation import (
    balanced_subset,
    extract_features,
    knn_accuracy,
    logistic_regression_accuracy,
)
from simclr_tf.training.build import build_plain
from simclr_tf.workflows.initial_weights import open_checkpoint
from simclr_tf.workflows.session import open_dataset, open_strategy

DRAWS = 10
"""Subsets of the labels drawn for each fraction: with few labels the draw matters by percents."""


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
    config, source = open_checkpoint(config)
    dataset = open_dataset(config)
    dataset.check_split(config.train_split, flag="--train_split")
    dataset.check_split(config.eval_split, flag="--eval_split")
    for split in (config.train_split, config.eval_split):
        dataset.check_labels(split)
    open_strategy(config)
    encoder = build_plain(config, num_classes=None).encoder
    origin = "untrained encoder"
    if source:
        origin = restore_parts(
            {"encoder": encoder}, source, allow_partial=config.allow_partial_checkpoint
        )
    print(f"probing on {config.dataset}: {origin}", flush=True)
    settings = {"batch_size": config.eval_batch_size, "image_size": config.image_size}
    with dataset.report_bad_images(config.model_dir):
        train = extract_features(encoder, dataset, split=config.train_split, **settings)
        test = extract_features(encoder, dataset, split=config.eval_split, **settings)
    result = {"knn": knn_accuracy(*train, *test)}
    print(f"  kNN (k 200, T 0.1), {len(train[1]):,} labels: {result['knn']:.2%}", flush=True)
    for fraction in config.label_fractions:
        accuracies = []
        for draw in range(DRAWS if fraction < 1 else 1):
            chosen = balanced_subset(train[1], fraction, seed=config.seed + draw)
            accuracies.append(
                logistic_regression_accuracy(train[0][chosen], train[1][chosen], *test)
            )
        result[f"logistic_regression/{fraction:g}"] = float(np.mean(accuracies))
        spread = f" +- {np.std(accuracies):.2%} over {DRAWS} draws" if fraction < 1 else ""
        print(
            f"  logistic regression, {len(chosen):,} labels: {np.mean(accuracies):.2%}{spread}",
            flush=True,
        )
    if config.model_dir:
        tf.io.gfile.makedirs(config.model_dir)
        files.write_json(files.join(config.model_dir, "probe.json"), result)
    return result
