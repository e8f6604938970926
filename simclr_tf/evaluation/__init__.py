"""Measures of features: kNN and logistic regression on frozen encoders; accuracies in words."""

from simclr_tf.evaluation.accuracy import describe_accuracy
from simclr_tf.evaluation.features import extract_features
from simclr_tf.evaluation.knn import choose_k, knn_accuracies, knn_accuracy
from simclr_tf.evaluation.logistic_regression import logistic_regression_accuracy

__all__ = [
    "choose_k",
    "describe_accuracy",
    "extract_features",
    "knn_accuracies",
    "knn_accuracy",
    "logistic_regression_accuracy",
]
