"""The figures by which the paper's data sets are judged (SimCLR, appendix B.8)."""

from __future__ import annotations

import numpy as np


def top_1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of examples whose class has the highest score.

    Args:
      scores: float [n, classes].
      labels: int [n], below `classes` or not: a class without a score is never found.
    """
    return float(np.mean(scores.argmax(axis=1) == labels))


def mean_per_class(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of the accuracies on each class, however many examples it has.

    Args:
      scores: float [n, classes].
      labels: int [n].
    """
    hits = scores.argmax(axis=1) == labels
    return float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns VOC2007's 11-point mean average precision over classes.

    Of a class it is the mean, over recalls of 0, 0.1, ..., 1, of the highest precision at that or a
    higher recall. Classes that no example has are left out.

    Args:
      scores: float [n, classes].
      labels: bool [n, classes]: an example may have several.
    """
    points = [_average_precision(s, found) for s, found in zip(scores.T, labels.T) if found.any()]
    return float(np.mean(points))


def _average_precision(scores: np.ndarray, found: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(found[order])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / hits[-1]
    # Tenths are compared as they are meant: 3 of 10 hits are a recall of 0.3.
    points = [precision[recall >= tenth / 10 - 1e-9].max() for tenth in range(11)]
    return float(np.mean(points))
