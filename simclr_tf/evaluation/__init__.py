"""Measures of features: kNN, logistic regression, health without labels; accuracies in words."""

from simclr_tf.evaluation.accuracy import describe_accuracy
from simclr_tf.evaluation.features import extract_features
from simclr_tf.evaluation.health import measure_health, view_distance
from simclr_tf.evaluation.knn import choose_k, knn_accuracies, knn_accuracy
from simclr_tf.evaluation.logistic_regression import logistic_regression_accuracy
from simclr_tf.evaluation.sampled_views import encode_views, sample_views

__all__ = [
    "choose_k",
    "describe_accuracy",
    "encode_views",
    "extract_features",
    "knn_accuracies",
    "knn_accuracy",
    "logistic_regression_accuracy",
    "measure_health",
    "sample_views",
    "view_distance",
]
