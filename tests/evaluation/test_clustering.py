"""Clusters against classes, by plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

from simclr_tf.evaluation.clustering import cluster_agreement

pytestmark = pytest.mark.smoke


def blobs(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Four classes, of which two lie in one direction: k-means tells these apart by chance."""
    rng = np.random.default_rng(0)
    centers = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 4], [0, 0.5, 4]])
    labels = rng.integers(0, 4, 80)
    features = centers[labels] + spread * rng.normal(size=(80, 3))
    return (features * rng.uniform(0.5, 5, [80, 1])).astype(np.float32), labels


def plain(labels: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Normalized mutual information (Strehl and Ghosh) and adjusted Rand index (Hubert, Arabie)."""
    table = np.zeros([labels.max() + 1, found.max() + 1])
    np.add.at(table, (labels, found), 1)
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    mutual = sum(
        p * np.log(p / (rows[i] * columns[j])) for (i, j), p in np.ndenumerate(joint) if p > 0
    )
    entropies = [-np.sum(p[p > 0] * np.log(p[p > 0])) for p in (rows, columns)]
    pairs = lambda counts: np.sum(counts * (counts - 1) / 2)
    together, of_rows, of_columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    chance = of_rows * of_columns / pairs(table.sum())
    rand = (together - chance) / ((of_rows + of_columns) / 2 - chance)
    return mutual / np.mean(entropies), rand


def test_both_indices_equal_plain_formulas(monkeypatch) -> None:
    from sklearn.cluster import KMeans

    features, labels = blobs(0.6)
    kept = []
    fit = KMeans.fit_predict

    def keeping(self: KMeans, examples: np.ndarray) -> np.ndarray:
        np.testing.assert_allclose(np.linalg.norm(examples, axis=1), 1, rtol=1e-5)
        kept.append(fit(self, examples))
        return kept[-1]

    monkeypatch.setattr(KMeans, "fit_predict", keeping)
    found = cluster_agreement(features, labels, clusters=4, seed=3)
    assert found == pytest.approx(plain(labels, kept[0]), abs=1e-9)
    assert 0.2 < found.ari < found.nmi < 0.95


def test_lengths_count_for_nothing_and_names_of_classes_neither() -> None:
    features, labels = blobs(0.05)
    three = np.minimum(labels, 2)
    assert cluster_agreement(features, three, clusters=3, seed=0) == pytest.approx((1, 1))
    assert cluster_agreement(features, 7 - three, clusters=3, seed=0) == pytest.approx((1, 1))


def test_features_that_are_all_alike() -> None:
    """A collapsed encoder is no warning: it has one cluster, which says nothing of classes."""
    found = cluster_agreement(np.ones([20, 4]), np.arange(20) % 2, clusters=2, seed=0)
    assert found == pytest.approx((0, 0), abs=1e-6)
