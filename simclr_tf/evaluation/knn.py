"""Weighted k-nearest-neighbor classification of features, without any training."""

from __future__ import annotations

import numpy as np

MOST_NEIGHBORS = 200
TEMPERATURE = 0.1


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

    Each of the k neighbors of highest cosine similarity s votes with weight exp(s / temperature)
    (Wu et al., arXiv 1805.01978, section 3.4).

    Args:
      train_features: float [n, dim].
      train_labels: int [n].
      test_features: float [m, dim].
      test_labels: int [m].
      k: neighbors; all training examples if there are fewer.
      temperature: of the votes.
    """
    train, test = _normalize(train_features), _normalize(test_features)
    k = min(k, len(train))
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    hits = 0
    for start in range(0, len(test), 1000):  # bounds the similarity matrix
        similarity = test[start : start + 1000] @ train.T
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        weights = np.exp(np.take_along_axis(similarity, nearest, axis=1) / temperature)
        votes = np.zeros([len(similarity), classes])
        np.add.at(votes, (np.arange(len(votes))[:, None], train_labels[nearest]), weights)
        hits += int((votes.argmax(axis=1) == test_labels[start : start + 1000]).sum())
    return hits / len(test)


def _normalize(features: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(norms, 1e-12)
