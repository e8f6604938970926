"""Linear evaluation of a frozen encoder, by the paper's settings."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from simclr_tf import terminal
from simclr_tf.augmentation import SupervisedView, ViewPipeline
from simclr_tf.evaluation import figures
from simclr_tf.evaluation import linear as protocol
from simclr_tf.evaluation.features import augmented_features
from simclr_tf.evaluation.figures import Figure
from simclr_tf.evaluation.metrics import top_1
from simclr_tf.runs.frozen import Examples, FrozenEncoder


def linear_evaluation(frozen: FrozenEncoder, examples: tuple[Examples, Examples]) -> list[Figure]:
    """Trains a linear layer on the features of `train_split`, for each of `seeds`.

    Args:
      frozen: the encoder.
      examples: features without augmentation to fit on, and those to measure on.
    """
    train, test = examples
    config, count = frozen.config, len(train[1])
    batch = min(protocol.LARGEST_BATCH, count)
    steps = protocol.linear_steps(count, batch)
    augments = config.evaluation.linear_augmentation
    # Without augmentation, and with all images in each batch, nothing is left to chance.
    seeds = config.evaluation.seeds if augments or batch < count else 1
    accuracies = []
    began = time.monotonic()
    for number in range(seeds):
        weights = protocol.train_linear(
            _batches(frozen, train, batch=batch, seed=config.task.seed + number),
            dim=train[0].shape[1],
            classes=frozen.num_classes,
            steps=steps,
        )
        accuracies.append(top_1(test[0] @ weights[:-1] + weights[-1], test[1]))
        if augments:
            passed = terminal.duration(time.monotonic() - began)
            print(
                f"  linear: seed {number + 1} of {seeds} after {passed}",
                flush=True,
            )
    views = "crop and flip" if augments else "none"
    return [
        Figure(
            "linear",
            f"{protocol.EPOCHS} epochs",
            figures.TOP_1,
            tuple(accuracies),
            dataset=frozen.test_set.name,
            labels=count,
            test_images=len(test[1]),
            settings={
                "labels": count,
                "optimizer": "SGD, Nesterov",
                "momentum": protocol.MOMENTUM,
                "batch": batch,
                "learning rate": protocol.RATE * batch / 256,
                "schedule": "cosine, no warm-up",
                "weight decay": 0,
                "augmentation": views,
                "steps": steps,
            },
            repeated="seeds",
        )
    ]


def _batches(
    frozen: FrozenEncoder, train: Examples, *, batch: int, seed: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    config = frozen.config
    if not config.evaluation.linear_augmentation:
        return protocol.shuffled_batches(*train, batch=batch, seed=seed)
    return augmented_features(
        frozen.encoder,
        frozen.train_set,
        split=config.data.train_split,
        transform=ViewPipeline(SupervisedView(config.data.image_size), on_device=False),
        at_a_time=min(config.evaluation.eval_batch_size, batch),
        batch=batch,
        seed=seed,
    )
