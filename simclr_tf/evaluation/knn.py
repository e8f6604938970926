"""Weighted k-nearest-neighbor classification of features, without any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

MOST_NEIGHBORS = 200
TEMPERATURE = 0.1

# A block of similarities has at most these many rows and columns, 8 MiB, whatever the sizes of the
# sets are; its order takes twice as much.
_TEST_ROWS, _TRAIN_ROWS = 256, 8192


def choose_k(labels: np.ndarray) -> int:
    """Returns 200, or as many as a class has labels on average where that is less.

    Further neighbors are of other classes even where features are perfect; all there are would
    make a few labels vote by their number alone.

    Args:
      labels: int [n], of the training examples.
    """
    return max(1, min(MOST_NEIGHBORS, len(labels) // len(np.unique(labels))))


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    k: int = MOST_NEIGHBORS,
    temperature: float = TEMPERATURE,
) -> float:
    """Returns the share of test examples that their neighbors classify correctly.

    See `knn_accuracies`.
    """
    pairs = [(k, temperature)]
    return knn_accuracies(train_features, train_labels, test_features, test_labels, pairs=pairs)[0]


def knn_accuracies(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    pairs: Sequence[tuple[int, float]],
) -> list[float]:
    """Returns the accuracy for each of several k and temperatures, at the price of the largest k.

    Each of the k neighbors of highest cosine similarity s votes with weight exp(s / temperature)
    (Wu et al., arXiv 1805.01978, section 3.4). The neighbors are exact. Beside its input it takes
    tens of megabytes, however many examples there are.

    Args:
      train_features: float [n, dim].
      train_labels: int [n].
      test_features: float [m, dim].
      test_labels: int [m].
      pairs: k and temperature; all training examples are neighbors if there are fewer than k.
    """
    most = min(max(k for k, _ in pairs), len(train_features))
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    hits = np.zeros(len(pairs), np.int64)
    for rows, similarity, nearest in nearest_neighbors(train_features, test_features, most):
        labels = train_labels[nearest]
        for place, (k, temperature) in enumerate(pairs):
            winners = _winners(similarity[:, :k], labels[:, :k], temperature, classes)
            hits[place] += int((winners == test_labels[rows]).sum())
    return [float(count / len(test_features)) for count in hits]


class Votes(NamedTuple):
    """What neighbors say of each test example, and the nearest of them.

    Attributes:
      classes: that they vote for, int64 [m].
      similarity: of the nearest, float [m, kept], the nearest first.
      nearest: their places among the training examples, int64 [m, kept].
    """

    classes: np.ndarray
    similarity: np.ndarray
    nearest: np.ndarray


def knn_votes(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    *,
    k: int,
    temperature: float = TEMPERATURE,
    keep: int,
) -> Votes:
    """Returns the classes that `knn_accuracies` counts, and `keep` of the neighbors.

    Args:
      train_features: float [n, dim].
      train_labels: int [n].
      test_features: float [m, dim].
      k: neighbors that vote; all training examples if there are fewer.
      temperature: of their votes.
      keep: how many of the nearest to return, whether they vote or not.
    """
    most, classes = min(max(k, keep), len(train_features)), int(train_labels.max()) + 1
    parts = []
    for _, similarity, nearest in nearest_neighbors(train_features, test_features, most):
        labels = train_labels[nearest[:, :k]]
        winners = _winners(similarity[:, :k], labels, temperature, classes)
        parts.append((winners, similarity[:, :keep], nearest[:, :keep]))
    return Votes(*map(np.concatenate, zip(*parts)))


def _winners(
    similarity: np.ndarray, labels: np.ndarray, temperature: float, classes: int
) -> np.ndarray:
    """Returns the class that has most votes in each row, int64 [m]."""
    # What the best one has is a common factor of all votes, and none of them overflows.
    lead = similarity.astype(np.float64) - similarity[:, :1]
    votes = np.zeros([len(lead), classes])
    np.add.at(votes, (np.arange(len(lead))[:, None], labels), np.exp(lead / temperature))
    return votes.argmax(axis=1)


def nearest_neighbors(
    train: np.ndarray, test: np.ndarray, k: int
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Finds the rows of `train` that are most similar to each row of `test`, by cosine. Exact.

    Args:
      train: float [n, dim].
      test: float [m, dim].
      k: how many of each row.

    Yields:
      Rows of `test`; and of each its k best similarities and their places in `train`, best first.
    """
    lengths = _lengths(train)
    for start in range(0, len(test), _TEST_ROWS):
        rows = slice(start, start + _TEST_ROWS)
        queries = test[rows] / _lengths(test[rows])[:, None]
        best = np.zeros([len(queries), 0], queries.dtype)
        where = np.zeros([len(queries), 0], np.int64)
        for first in range(0, len(train), _TRAIN_ROWS):
            block = slice(first, first + _TRAIN_ROWS)
            similarity = queries @ train[block].T
            similarity /= lengths[block]
            found = _top(similarity, k)
            similarity = np.take_along_axis(similarity, found, axis=1)
            best = np.concatenate([best, similarity], axis=1)
            where = np.concatenate([where, found + first], axis=1)
            kept = _top(best, k)
            best = np.take_along_axis(best, kept, axis=1)
            where = np.take_along_axis(where, kept, axis=1)
        order = np.argsort(-best, axis=1, kind="stable")
        yield rows, np.take_along_axis(best, order, 1), np.take_along_axis(where, order, 1)


def _top(values: np.ndarray, k: int) -> np.ndarray:
    """Returns where the k largest of each row are, in any order; all where there are no more."""
    last = values.shape[1] - k
    if last <= 0:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, last, axis=1)[:, last:]


def _lengths(features: np.ndarray) -> np.ndarray:
    """Returns the norm of each row, in its type; a block at a time: a square of all is a copy."""
    parts = [
        np.linalg.norm(features[start : start + _TRAIN_ROWS], axis=1)
        for start in range(0, len(features), _TRAIN_ROWS)
    ]
    return np.maximum(np.concatenate(parts), 1e-12)
