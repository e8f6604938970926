"""Encoders, heads, and what is asked of them."""

from simclr_tf.models.build import build_encoder, build_projection_head, complete_parts
from simclr_tf.models.encoders import endpoints, freeze
from simclr_tf.models.normalization import BatchNormRelu
from simclr_tf.models.projection_head import ProjectionHead
from simclr_tf.models.resnet import ResNet
from simclr_tf.models.supervised_head import SupervisedHead
from simclr_tf.models.variables import normalization_and_bias_variables

__all__ = [
    "BatchNormRelu",
    "ProjectionHead",
    "ResNet",
    "SupervisedHead",
    "build_encoder",
    "build_projection_head",
    "complete_parts",
    "endpoints",
    "freeze",
    "normalization_and_bias_variables",
]
