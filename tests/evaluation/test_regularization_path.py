"""Logistic regression with a chosen strength, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from simclr_tf.evaluation import regularization_path as path
from simclr_tf.evaluation.metrics import mean_average_precision, top_1

pytestmark = pytest.mark.smoke


def blobs(count: int, seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clouds far from the origin, of features of unlike scales."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(7).normal(size=(classes, 6))
    labels = rng.integers(0, classes, count)
    features = (centers[labels] + rng.normal(size=(count, 6))) * [0.1, 0.3, 1, 1, 3, 10] + 5
    return features.astype(np.float32), labels


def sklearns(train, strength: float, unit: float | None = None) -> LogisticRegression:
    unit = train[0].var(axis=0, dtype=np.float64).mean() if unit is None else unit
    exact = LogisticRegression(C=1 / (strength * unit), solver="newton-cholesky", tol=1e-6)
    return exact.fit(train[0].astype(np.float64), train[1])


@pytest.mark.parametrize("strength", [1e-2, 1.0, 100.0])
def test_a_fit_is_scikit_learns(strength: float, monkeypatch) -> None:
    monkeypatch.setattr(path, "STRENGTHS", np.array([strength]))
    train, test = blobs(300, 0), blobs(200, 1)
    fitted = path.fit_with_chosen_strength(train, classes=4, metric=top_1, seed=0)
    assert fitted.strength == strength
    ours, theirs = fitted.scores(test[0]), sklearns(train, strength).decision_function(test[0])
    # Softmax knows scores up to a number for each row.
    ours, theirs = (s - s.mean(axis=1, keepdims=True) for s in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=0.02 * np.abs(theirs).max())
    assert 0.5 < top_1(ours, test[1]) == pytest.approx(top_1(theirs, test[1]), abs=0.011)


def test_the_strength_is_the_one_that_scikit_learn_would_choose() -> None:
    """A validation split on which the figures differ; the middle one where several are the best."""
    train, validation, test = blobs(60, 2), blobs(400, 3), blobs(400, 4)
    fitted = path.fit_with_chosen_strength(
        train, classes=4, metric=top_1, seed=0, validation=validation
    )
    scores = [
        top_1(sklearns(train, strength).decision_function(validation[0]), validation[1])
        for strength in path.STRENGTHS
    ]
    chosen = scores[int(np.argmin(np.abs(path.STRENGTHS - fitted.strength)))]
    assert chosen >= max(scores) - 0.0051 > min(scores) + 0.05
    everything = tuple(np.concatenate(pair) for pair in zip(train, validation))
    unit = train[0].var(axis=0).mean()
    theirs = sklearns(everything, fitted.strength, unit).decision_function(test[0])
    found = top_1(fitted.scores(test[0]), test[1])
    assert found == pytest.approx(top_1(theirs, test[1]), abs=0.0051)
    assert fitted.held_out == 400


def test_the_scale_of_all_features_counts_for_nothing() -> None:
    """Untrained encoders may have features of a thousandth."""
    train, test = blobs(300, 0), blobs(200, 1)
    first = path.fit_with_chosen_strength(train, classes=4, metric=top_1, seed=0)
    small = train[0] * np.float32(2**-12), train[1]
    second = path.fit_with_chosen_strength(small, classes=4, metric=top_1, seed=0)
    assert second.strength == first.strength
    ours, theirs = first.scores(test[0]), second.scores(test[0] * np.float32(2**-12))
    np.testing.assert_allclose(ours, theirs, atol=0.01 * np.abs(ours).max())


def test_there_are_45_strengths_as_the_paper_says() -> None:
    assert len(path.STRENGTHS) == 45
    assert path.STRENGTHS[[0, 44]].tolist() == [1e-6, 1e5]
    np.testing.assert_allclose(np.diff(np.log10(path.STRENGTHS)), 0.25)


def test_each_class_gives_a_fifth_and_keeps_one() -> None:
    labels = np.array([3] * 10 + [1] * 2 + [0] + [5] * 23)
    kept, held = path.hold_out(labels, seed=4)
    assert np.bincount(labels[held]).tolist() == [0, 1, 0, 2, 0, 5]
    assert sorted([*kept, *held]) == list(range(36))
    assert not np.array_equal(held, path.hold_out(labels, seed=5)[1])


def test_one_label_of_each_class_is_enough_to_fit() -> None:
    features, labels = blobs(100, 5)
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(4)]
    few = features[first], labels[first]
    fitted = path.fit_with_chosen_strength(few, classes=6, metric=top_1, seed=0)
    assert fitted.held_out == 0
    scores = fitted.scores(features)
    assert np.isneginf(scores[:, 4:]).all()
    assert np.isfinite(scores[:, :4]).all()
    assert top_1(scores[first], labels[first]) == 1


def test_several_labels_an_image_are_problems_of_their_own() -> None:
    """As scikit-learn fits each class by itself."""
    features, labels = blobs(200, 6)
    several = labels[:, None] == np.arange(4)
    several[:, 0] |= features[:, 5] > features[:, 5].mean()
    assert (several.sum(axis=1) > 1).any()
    train, validation = (features[:120], several[:120]), (features[120:], several[120:])
    fitted = path.fit_with_chosen_strength(
        train, classes=4, metric=mean_average_precision, seed=0, validation=validation
    )
    scores, unit = fitted.scores(features), train[0].var(axis=0).mean()
    for label in range(4):
        expected = sklearns((features, several[:, label]), fitted.strength, unit)
        expected = expected.decision_function(features)
        np.testing.assert_allclose(scores[:, label], expected, atol=0.03 * np.abs(expected).max())
