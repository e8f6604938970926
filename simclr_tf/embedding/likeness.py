"""Pictures that are nearly the same as another one, and pictures that are unlike all others."""

from __future__ import annotations

import numpy as np

from simclr_tf.evaluation.knn import nearest_neighbors

NEIGHBORS = 10
"""Nearest others of each picture that are looked at."""


class Likeness:
    """How much alike pictures are, by the cosine of their features; exact.

    Args:
      features: float [n, dim], n at least 2.

    Attributes:
      others: int64 [n, k], the places of each row's nearest others, the nearest first.
      similarity: float [n, k], theirs.
    """

    def __init__(self, features: np.ndarray) -> None:
        k = min(NEIGHBORS, len(features) - 1)
        similarity, others = [], []
        for rows, best, where in nearest_neighbors(features, features, k + 1):
            own = np.arange(len(features))[rows, None]
            # Of several that are equal, itself need not be among the first.
            keep = np.argsort(where == own, axis=1, kind="stable")[:, :k]
            keep.sort(axis=1)
            similarity.append(np.take_along_axis(best, keep, 1))
            others.append(np.take_along_axis(where, keep, 1))
        self.similarity, self.others = np.concatenate(similarity), np.concatenate(others)

    def doubles(self, *, least: float, most: int) -> list[tuple[int, int, float]]:
        """Returns pairs of which one is a nearest other of the other, the most similar first.

        Args:
          least: similarity of a pair.
          most: pairs.

        Returns:
          The two places, the smaller one first, and the similarity.
        """
        rows, columns = np.nonzero(self.similarity >= least)
        found = {
            (min(row, other), max(row, other)): float(self.similarity[row, column])
            for row, column, other in zip(rows, columns, self.others[rows, columns])
        }
        pairs = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
        return [(int(one), int(other), similarity) for (one, other), similarity in pairs]

    def outliers(self, *, most: int) -> list[tuple[int, float]]:
        """Returns the rows whose nearest others are least similar: place and mean similarity."""
        means = self.similarity.mean(axis=1)
        return [(int(row), float(means[row])) for row in np.argsort(means, kind="stable")[:most]]
