"""Measures of features: kNN and logistic regression on frozen encoders."""

from simclr_tf.evaluation.features import extract_features
from simclr_tf.evaluation.knn import knn_accuracy
from simclr_tf.evaluation.logistic_regression import balanced_subset, logistic_regression_accuracy

__all__ = [
    "balanced_subset",
    "extract_features",
    "knn_accuracy",
    "logistic_regression_accuracy",
]
