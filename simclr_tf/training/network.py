"""Encoder, projection head and classifier: the parts that every checkpoint and SavedModel holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from simclr_tf.architecture import Architecture
from simclr_tf.augmentation import Views
from simclr_tf.bounds import Range, check_argument
from simclr_tf.data import preprocess_for_eval
from simclr_tf.models import ProjectionHead, ResNet, SupervisedHead
from simclr_tf.models import build_encoder, build_projection_head, encoders
from simclr_tf.models.variables import normalization_and_bias_variables
from simclr_tf.optimizers import l2_penalty
from simclr_tf.training.batches import Batch, as_dictionary, seeds_of_step


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class Network(tf.keras.Model):
    """An encoder f, a projection head g and, where there are labels, a supervised head.

    Subclasses train it; this class holds the parts and evaluates the supervised head. All variables
    exist once it is constructed.

    Args:
      encoder: what to build; or any Keras model, images float [batch, h, w, 3] in [0, 1] ->
        features h [batch, dim], or [batch, height, width, channels], which is averaged over space.
      projection_head: features -> list of hidden vectors, the projection z last. None makes the one
        of the architecture, or of SimCLRv2 on top of any other encoder.
      supervised_head: features or a hidden vector of the projection head -> logits, or None.
      views: makes the views of a batch of images. Without, batches hold `views` that are made.
      projection_selector: which of the projection head's hidden vectors the supervised head reads
        (reference flag `ft_proj_selector`); 0 is the features themselves.
      weight_decay: factor of the L2 penalty on the weights that the loss decays.
      decay_in_optimizer: whether the optimizer itself decays weights (LARS, LAMB, AdamW). The loss
        then penalizes the supervised head's kernel only, which those optimizers leave alone.
      seed: of the views of images that come without seeds.

    Raises:
      TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        encoder: Architecture | tf.keras.Model,
        projection_head: ProjectionHead | None = None,
        supervised_head: SupervisedHead | None = None,
        *,
        views: Views | None = None,
        projection_selector: int = 0,
        weight_decay: float = 0.0,
        decay_in_optimizer: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        check_argument("weight_decay", weight_decay, Range(0.0))
        self.encoder, self.projection_head = _parts(encoder, projection_head)
        self.supervised_head = supervised_head
        self.views = views
        self.projection_selector = projection_selector
        self.weight_decay = weight_decay
        self.decay_in_optimizer = decay_in_optimizer
        self.seed = seed
        # What a step returns are metrics' results, of all replicas already. Keras would add them up
        # over machines once more.
        self.distribute_reduction_method = "first"
        self.top_1 = tf.keras.metrics.SparseCategoricalAccuracy("eval/label_top_1_accuracy")
        self.top_5 = tf.keras.metrics.SparseTopKCategoricalAccuracy(5, "eval/label_top_5_accuracy")
        # Of a ResNet no variable depends on the images' size; 32 pixels are soon done.
        ours = views is None or isinstance(self.encoder, ResNet)
        size = 32 if ours else views.image_size
        self(tf.zeros([1, size, size, 3]), training=False)
