"""Logistic regression on features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from simclr_tf.evaluation import logistic_regression_accuracy

pytestmark = pytest.mark.smoke


def test_equals_a_direct_minimization() -> None:
    rng = np.random.default_rng(2)
    labels, test_labels = rng.integers(0, 3, 90), rng.integers(0, 3, 300)
    centers = rng.normal(size=(3, 5))
    train = 10 * (centers[labels] + rng.normal(size=(90, 5))) + 3
    test = 10 * (centers[test_labels] + rng.normal(size=(300, 5))) + 3
    x = (train - train.mean(0)) / train.std(0)

    def objective(flat: np.ndarray) -> float:  # scikit-learn's: C * sum of losses + |w|^2 / 2
        w, b = flat[:15].reshape(5, 3), flat[15:]
        logits = x @ w + b
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(90), labels]
        return 0.1 * losses.sum() + 0.5 * (w**2).sum()

    best = minimize(objective, np.zeros(18), method="BFGS").x
    logits = (test - train.mean(0)) / train.std(0) @ best[:15].reshape(5, 3) + best[15:]
    expected = (logits.argmax(1) == test_labels).mean()
    actual = logistic_regression_accuracy(train, labels, test, test_labels)
    assert actual == pytest.approx(expected, abs=0.01)
    assert 0.4 < expected < 0.95


def test_a_class_that_training_lacks_is_missed() -> None:
    train, labels = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 3, 3])
    test, test_labels = np.array([[-1.5], [1.5], [1.5]]), np.array([0, 3, 5])
    accuracy = logistic_regression_accuracy(train, labels, test, test_labels)
    assert accuracy == pytest.approx(2 / 3)
