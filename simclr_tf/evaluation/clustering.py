"""Clustering: whether classes are where features lie close together, without any label."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

STARTS = 10
"""Of k-means, of which the one with the least sum of squares counts."""


class Agreement(NamedTuple):
    """How well clusters agree with classes.

    Attributes:
      nmi: normalized mutual information, by the mean of the two entropies, 0 to 1.
      ari: adjusted Rand index: 0 by chance, 1 at most.
    """

    nmi: float
    ari: float


def cluster_agreement(
    features: np.ndarray, labels: np.ndarray, *, clusters: int, seed: int
) -> Agreement:
    """Clusters L2-normalized features by k-means, and compares clusters with classes.

    Args:
      features: float [n, dim].
      labels: int [n].
      clusters: how many; as many as there are examples where these are fewer.
      seed: of the first centers.
    """
    # Imported here: half a second, and most evaluations do without.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    norms = np.linalg.norm(features, axis=1, keepdims=True)
    count = min(clusters, len(features))
    means = KMeans(count, n_init=STARTS, random_state=seed)
    with warnings.catch_warnings():
        # Features that are all alike, as of a collapsed encoder, make one cluster: the figures say.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = means.fit_predict(features / np.maximum(norms, 1e-12))
    return Agreement(
        float(normalized_mutual_info_score(labels, found)),
        float(adjusted_rand_score(labels, found)),
    )
