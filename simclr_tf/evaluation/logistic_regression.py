"""Logistic regression on frozen features, fitted on all labels or a class-balanced few."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

INVERSE_PENALTY = 0.1
"""scikit-learn's C: what the sum of losses counts beside half the squared norm of the weights."""


def logistic_regression_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
) -> float:
    """Fits multinomial logistic regression and returns its accuracy on the test examples.

    Features are standardized with the training examples' mean and deviation. The fit is the
    optimum of a convex problem, so the figure depends on no learning rate or seed.

    Args:
      train_features: float [n, dim].
      train_labels: int [n].
      test_features: float [m, dim].
      test_labels: int [m].
    """
    scaler = StandardScaler().fit(train_features)
    classifier = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(scaler.transform(train_features), train_labels)
    return float(classifier.score(scaler.transform(test_features), test_labels))


def balanced_subset(labels: np.ndarray, fraction: float, *, seed: int) -> np.ndarray:
    """Returns the indices of a random share of the examples, each class in proportion.

    Args:
      labels: int [n].
      fraction: share of the examples, above 0; 1 returns all. Every class keeps at least one.
      seed: of the draw.
    """
    if fraction >= 1:
        return np.arange(len(labels))
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(fraction * len(members)))
        chosen.append(generator.choice(members, count, replace=False))
    return np.sort(np.concatenate(chosen))
