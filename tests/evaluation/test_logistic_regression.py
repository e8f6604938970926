"""Logistic regression on features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from simclr_tf.evaluation import logistic_regression, logistic_regression_accuracy

pytestmark = pytest.mark.smoke


def examples() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns what to fit, and test examples, elsewhere and wider, with the optimum's own classes.

    Whatever was fitted otherwise has other borders, and misses some of those.
    """
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 90)
    train = 10 * (rng.normal(size=(3, 5))[labels] + rng.normal(size=(90, 5))) + 3
    test = 20 * rng.normal(size=(3000, 5)) + 8
    mean, deviation = train.mean(0), train.std(0)
    x = (train - mean) / deviation

    def objective(flat: np.ndarray) -> float:  # scikit-learn's: C * sum of losses + |w|^2 / 2
        w, b = flat[:15].reshape(5, 3), flat[15:]
        logits = x @ w + b
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(90), labels]
        return 0.1 * losses.sum() + 0.5 * (w**2).sum()

    best = minimize(objective, np.zeros(18), method="BFGS").x
    logits = (test - mean) / deviation @ best[:15].reshape(5, 3) + best[15:]
    return train, labels, test, logits.argmax(1)


def test_equals_a_direct_minimization() -> None:
    assert logistic_regression_accuracy(*examples()) >= 0.999


@pytest.mark.parametrize("penalty", [0.05, 0.2])
def test_it_has_its_penalty(penalty, monkeypatch) -> None:
    """So near are others, and the test above sees them."""
    monkeypatch.setattr(logistic_regression, "INVERSE_PENALTY", penalty)
    assert logistic_regression_accuracy(*examples()) < 0.995


def test_a_fit_that_is_not_ended_is_noticed(monkeypatch) -> None:
    fit = LogisticRegression.fit

    def end_early(self: LogisticRegression, *data: np.ndarray) -> LogisticRegression:
        return fit(self.set_params(max_iter=5), *data)

    monkeypatch.setattr(LogisticRegression, "fit", end_early)
    assert logistic_regression_accuracy(*examples()) < 0.998


def test_a_class_that_training_lacks_is_missed() -> None:
    train, labels = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 3, 3])
    test, test_labels = np.array([[-1.5], [1.5], [1.5]]), np.array([0, 3, 5])
    accuracy = logistic_regression_accuracy(train, labels, test, test_labels)
    assert accuracy == pytest.approx(2 / 3)
