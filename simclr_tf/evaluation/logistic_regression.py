"""Logistic regression on frozen features, fitted to the optimum."""

from __future__ import annotations

import warnings

import numpy as np

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
    # Imported here: half a second, and evaluation of a classifier does without.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train_features)
    classifier = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(scaler.transform(train_features), train_labels)
    return float(classifier.score(scaler.transform(test_features), test_labels))
