"""Nearest others, doubles and outliers, against a plain matrix."""

import numpy as np

from simclr_tf.embedding import Likeness
from simclr_tf.embedding.likeness import NEIGHBORS

RNG = np.random.default_rng(0)


def plain(features: np.ndarray) -> np.ndarray:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    matrix = unit @ unit.T
    np.fill_diagonal(matrix, -np.inf)
    return matrix


def test_nearest_others_are_those_of_the_whole_matrix() -> None:
    features = RNG.normal(size=(300, 7))
    found, matrix = Likeness(features), plain(features)
    right = np.argsort(-matrix, axis=1)[:, :NEIGHBORS]
    np.testing.assert_array_equal(found.others, right)
    np.testing.assert_allclose(found.similarity, np.take_along_axis(matrix, right, 1))


def test_doubles_are_found_also_where_many_are_equal() -> None:
    features = RNG.normal(size=(40, 7))
    features[30] = 3 * features[2]  # the same direction
    features[[10, 11, 12]] = features[5]
    features[20] = features[8] + 0.01 * RNG.normal(size=7)
    matrix = plain(features)
    pairs = Likeness(features).doubles(least=0.99, most=100)
    assert {pair[:2] for pair in pairs} == {
        (int(a), int(b)) for a, b in np.argwhere(matrix >= 0.99) if a < b
    }
    assert {(2, 30), (5, 10), (10, 12), (8, 20)} <= {pair[:2] for pair in pairs}
    similarities = [pair[2] for pair in pairs]
    assert similarities == sorted(similarities, reverse=True) and pairs[-1][:2] == (8, 20)
    assert Likeness(features).doubles(least=0.99, most=2) == pairs[:2]


def test_outliers_are_those_whose_nearest_are_far() -> None:
    features = 1 + 0.1 * RNG.normal(size=(30, 7))
    features[[4, 17]] *= -1
    features[17, 0] = 9
    matrix = plain(features)
    means = -np.sort(-matrix, axis=1)[:, :NEIGHBORS].mean(1)
    found = Likeness(features).outliers(most=5)
    np.testing.assert_array_equal([row for row, _ in found], np.argsort(means)[:5])
    np.testing.assert_allclose([mean for _, mean in found], np.sort(means)[:5])
    assert {row for row, _ in found[:2]} == {4, 17}


def test_two_pictures_have_one_other_each() -> None:
    found = Likeness(np.array([[1.0, 0.0], [0.6, 0.8]]))
    assert found.others.tolist() == [[1], [0]]
    assert found.doubles(least=0.5, most=9) == [(0, 1, 0.6)]
