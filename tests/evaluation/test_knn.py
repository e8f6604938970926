"""kNN against loops."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from simclr_tf.evaluation import choose_k, knn, knn_accuracies, knn_accuracy
from simclr_tf.evaluation.knn import knn_votes

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


def blobs() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    labels, test_labels = rng.integers(0, 4, 60), rng.integers(0, 4, 40)
    centers = rng.normal(size=(4, 6))
    train = centers[labels] + rng.normal(size=(60, 6))
    return train, labels, centers[test_labels] + rng.normal(size=(40, 6)), test_labels


PAIRS = [(1, 0.1), (7, 0.1), (7, 5.0), (30, 1.0), (500, 0.1)]


@pytest.mark.parametrize(("k", "temperature"), PAIRS)
def test_equals_loops(k: int, temperature: float) -> None:
    fast = knn_accuracy(*blobs(), k=k, temperature=temperature)
    assert fast == slow_knn(*blobs(), min(k, 60), temperature)
    assert 0.3 < fast < 1


@pytest.mark.parametrize(("test_rows", "train_rows"), [(1, 1), (7, 9), (40, 25), (1000, 59)])
def test_blocks_change_nothing(test_rows: int, train_rows: int, monkeypatch) -> None:
    """The best of several blocks are the best of all, also where a block has fewer than k."""
    expected = [slow_knn(*blobs(), k, temperature) for k, temperature in PAIRS]
    monkeypatch.setattr(knn, "_TEST_ROWS", test_rows)
    monkeypatch.setattr(knn, "_TRAIN_ROWS", train_rows)
    assert knn_accuracies(*blobs(), pairs=PAIRS) == expected
    assert len(set(expected)) > 2, "they can be told apart"


@pytest.mark.parametrize("keep", [3, 50])
def test_votes_are_those_that_are_counted(keep: int) -> None:
    train, labels, test, test_labels = blobs()
    votes = knn_votes(train, labels, test, k=7, temperature=0.1, keep=keep)
    right = knn_accuracy(train, labels, test, test_labels, k=7, temperature=0.1)
    assert np.mean(votes.classes == test_labels) == right < 1
    unit, asked = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    cosines = asked @ unit.T
    assert np.array_equal(votes.nearest, np.argsort(-cosines, axis=1)[:, :keep])
    np.testing.assert_allclose(votes.similarity, -np.sort(-cosines, axis=1)[:, :keep])


def test_neighbors_are_scikit_learns(monkeypatch) -> None:
    from sklearn.neighbors import NearestNeighbors

    train, labels, test, test_labels = (part.astype(np.float32) for part in blobs())
    monkeypatch.setattr(knn, "_TRAIN_ROWS", 13)
    ((rows, similarity, nearest),) = knn.nearest_neighbors(train, test, 9)
    theirs = NearestNeighbors(n_neighbors=9, metric="cosine").fit(train)
    distances, places = theirs.kneighbors(test)
    np.testing.assert_array_equal(nearest, places)
    np.testing.assert_allclose(similarity, 1 - distances, atol=1e-6)
    assert (rows.start, len(test)) == (0, 40)


def test_memory_does_not_grow_with_the_examples() -> None:
    """4,096 test and 65,536 training examples: all similarities would be 1 GiB, 16 MiB of input."""
    rng = np.random.default_rng(3)
    train, test = (rng.normal(size=(n, 64)).astype(np.float32) for n in (65536, 4096))
    labels, test_labels = rng.integers(0, 10, 65536), rng.integers(0, 10, 4096)
    tracemalloc.start()
    knn_accuracies(train, labels, test[:600], test_labels[:600], pairs=[(200, 0.1)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 * 2**20


@pytest.mark.filterwarnings("error")
def test_temperatures_of_which_exponentials_overflow() -> None:
    nearest = knn_accuracy(*blobs(), k=1)
    assert knn_accuracy(*blobs(), k=30, temperature=1e-30) == nearest
    assert knn_accuracy(*blobs(), k=30, temperature=1e30) == slow_knn(*blobs(), 30, 1e30)


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
