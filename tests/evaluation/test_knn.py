"""kNN against loops."""

from __future__ import annotations

import numpy as np
import pytest

from simclr_tf.evaluation import choose_k, knn_accuracy

pytestmark = pytest.mark.smoke


def slow_knn(train, train_labels, test, test_labels, k, temperature) -> float:
    hits = 0
    for feature, label in zip(test, test_labels):
        similarity = [
            float(np.dot(feature, other) / np.linalg.norm(feature) / np.linalg.norm(other))
            for other in train
        ]
        votes: dict[int, float] = {}
        for i in sorted(range(len(train)), key=lambda i: -similarity[i])[:k]:
            weight = np.exp(similarity[i] / temperature)
            votes[int(train_labels[i])] = votes.get(int(train_labels[i]), 0.0) + weight
        hits += max(votes, key=lambda c: votes[c]) == label
    return hits / len(test)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (7, 5.0), (500, 0.1)])
def test_equals_loops(k: int, temperature: float) -> None:
    rng = np.random.default_rng(1)
    labels, test_labels = rng.integers(0, 4, 60), rng.integers(0, 4, 40)
    centers = rng.normal(size=(4, 6))
    train = centers[labels] + rng.normal(size=(60, 6))
    test = centers[test_labels] + rng.normal(size=(40, 6))
    fast = knn_accuracy(train, labels, test, test_labels, k=k, temperature=temperature)
    assert fast == slow_knn(train, labels, test, test_labels, min(k, 60), temperature)
    assert 0.3 < fast < 1


def test_a_class_without_neighbors_is_missed() -> None:
    train, labels = np.eye(2), np.array([0, 1])
    test, test_labels = np.array([[1.0, 0.1], [0.1, 1.0], [1.0, 0.2]]), np.array([0, 1, 7])
    assert knn_accuracy(train, labels, test, test_labels, k=1) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("labels", "k"),
    [([0] * 9 + [1] * 3, 6), ([0, 1, 2], 1), ([5, 7], 1), ([0, 1] * 1000, 200), ([3] * 150, 150)],
)
def test_k_is_no_more_than_a_class_has(labels: list[int], k: int) -> None:
    assert choose_k(np.array(labels)) == k
