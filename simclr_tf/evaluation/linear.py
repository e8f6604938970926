"""Linear evaluation: one layer on frozen features, trained as the paper trains it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

# SimCLR, appendix B.6: SGD with Nesterov momentum, no warm-up, no weight decay.
EPOCHS = 90
LARGEST_BATCH = 4096
RATE = 0.1  # for each 256 images of a batch
MOMENTUM = 0.9


def linear_steps(examples: int, batch: int) -> int:
    """Returns how many batches 90 epochs are, the last one whole."""
    return math.ceil(EPOCHS * examples / batch)


def train_linear(
    batches: Iterable[tuple[np.ndarray, np.ndarray]], *, dim: int, classes: int, steps: int
) -> np.ndarray:
    """Trains a linear classifier from zero; the learning rate falls along half a cosine.

    Args:
      batches: of features float32 [batch, dim] and labels int [batch]: `steps` of them at least.
      dim: of the features.
      classes: how many there are.
      steps: to take.

    Returns:
      Weights float32 [dim + 1, classes], the bias last.
    """
    weights = np.zeros([dim + 1, classes], np.float32)
    velocity = np.zeros_like(weights)
    slopes = np.empty_like(weights)
    for step, (features, labels) in zip(range(steps), batches):
        error = features @ weights[:-1] + weights[-1]
        error = np.exp(error - error.max(axis=1, keepdims=True))
        error /= error.sum(axis=1, keepdims=True)
        error[np.arange(len(labels)), labels] -= 1
        slopes[:-1], slopes[-1] = features.T @ error, error.sum(axis=0)
        slopes /= len(labels)
        rate = RATE * len(labels) / 256 * 0.5 * (1 + math.cos(math.pi * step / steps))
        velocity = MOMENTUM * velocity - rate * slopes
        weights += MOMENTUM * velocity - rate * slopes
    return weights


def shuffled_batches(
    features: np.ndarray, labels: np.ndarray, *, batch: int, seed: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of shuffled epochs without end; one epoch flows into the next.

    Args:
      features: float32 [n, dim].
      labels: int [n].
      batch: examples in each, at most n.
      seed: of the order.
    """
    generator = np.random.default_rng(seed)
    left = np.zeros(0, np.int64)
    while True:
        if len(left) < batch:
            left = np.concatenate([left, generator.permutation(len(labels))])
        chosen, left = left[:batch], left[batch:]
        yield features[chosen], labels[chosen]
