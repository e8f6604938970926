"""Encoder, projection head and classifier: the parts that every checkpoint and SavedModel holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from simclr_tf.architecture import Architecture
from simclr_tf.bounds import SEED, Range, check_argument
from simclr_tf.models import (
    ProjectionHead,
    ResNet,
    SupervisedHead,
    complete_parts,
    encoders,
    normalization_and_bias_variables,
)
from simclr_tf.models.precision import under_policy
from simclr_tf.optimizers import l2_penalty
from simclr_tf.training.batches import as_dictionary, labels_of, prepare
from simclr_tf.training.measures import labeled
from simclr_tf.training.stepping import Stepping

if TYPE_CHECKING:  # importing it brings keras-cv, which takes seconds
    from simclr_tf.augmentation import Views

_SERIALIZED = ("encoder", "projection_head", "supervised_head", "views")


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class Network(Stepping):
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
    ) -> None:
        super().__init__()
        check_argument("weight_decay", weight_decay, Range(0.0))
        check_argument("seed", seed, SEED, whole=True)
        self.encoder, self.projection_head = complete_parts(encoder, projection_head)
        self.supervised_head = supervised_head
        self.views = views
        layers = Range(-1, self.projection_head.num_layers)
        check_argument("projection_selector", projection_selector, layers, whole=True)
        self.projection_selector = projection_selector
        self.weight_decay = weight_decay
        self.decay_in_optimizer = decay_in_optimizer
        self.seed = seed
        # What a step returns are metrics' results, of all replicas already. Keras would add them up
        # over machines once more.
        self.distribute_reduction_method = "first"
        self.top_1 = tf.keras.metrics.SparseCategoricalAccuracy("eval/label_top_1_accuracy")
        self.top_5 = tf.keras.metrics.SparseTopKCategoricalAccuracy(5, "eval/label_top_5_accuracy")
        size = 32  # of a ResNet no variable depends on the images' size, and these are soon done
        if views is not None and not isinstance(self.encoder, ResNet):
            size = views.image_size
        outputs = self(tf.zeros([1, size, size, 3]), training=False)
        self.projection_dim = outputs["proj_head_output"].shape[-1]

    def call(self, images: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Returns the encoder's endpoints, `proj_head_input`, `proj_head_output`, `logits_sup`.

        Args:
          images: float [batch, h, w, 3] in [0, 1].
          training: whether batch normalization uses, and updates from, the batch's statistics.
        """
        outputs = encoders.endpoints(self.encoder, images, training=training)
        hidden = self.projection_head(outputs["final_avg_pool"], training=training)
        outputs["proj_head_input"] = hidden[0]
        outputs["proj_head_output"] = hidden[-1]
        if self.supervised_head is not None:
            outputs["logits_sup"] = self.supervised_head(hidden[self.projection_selector])
        return outputs

    @property
    def parts(self) -> dict[str, tf.keras.layers.Layer]:
        """The parts by the names under which checkpoints hold them."""
        parts = {"encoder": self.encoder, "projection_head": self.projection_head}
        if self.supervised_head is not None:
            parts["supervised_head"] = self.supervised_head
        return parts

    @property
    def num_classes(self) -> int | None:
        """Classes of the supervised head, None without one."""
        return None if self.supervised_head is None else self.supervised_head.dense.units

    @property
    def undecayed(self) -> list[tf.Variable]:
        """Variables that the optimizer neither decays nor adapts layer-wise."""
        head = self.supervised_head.trainable_variables if self.supervised_head else []
        return [*normalization_and_bias_variables(self), *head]

    def penalty(self) -> tf.Tensor:
        """Returns what the loss adds for weights, a float32 scalar.

        That is the L2 penalty (reference: add_weight_decay), and what layers of the user's own
        have in their `losses`, as their kernel regularizers.
        """
        own = tf.add_n(self.losses) if self.losses else tf.constant(0.0)
        if self.weight_decay == 0:
            return own
        head = self.supervised_head.trainable_variables if self.supervised_head else []
        candidates = head if self.decay_in_optimizer else self.trainable_variables
        skipped = _ids(normalization_and_bias_variables(self))
        return own + l2_penalty([v for v in candidates if id(v) not in skipped], self.weight_decay)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the parts as Keras serializes them."""
        parts = {name: getattr(self, name) for name in _SERIALIZED}
        return {
            **{name: tf.keras.saving.serialize_keras_object(part) for name, part in parts.items()},
            "projection_selector": self.projection_selector,
            "weight_decay": self.weight_decay,
            "decay_in_optimizer": self.decay_in_optimizer,
            "seed": self.seed,
            "dtype": self.dtype_policy.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Network:
        """Returns what `get_config` was asked of, with new weights."""
        deserialize = tf.keras.saving.deserialize_keras_object
        parts = {name: deserialize(config[name], custom_objects) for name in _SERIALIZED}
        config = {**config, **parts}
        with under_policy(config.pop("dtype")):
            return cls(**config)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """Counts top-1 and top-5 hits of the supervised head.

        Args:
          batch: images and labels, -1 for none; see `as_dictionary`. Where it has a `weight`,
            which is 0 of rows that are padding, the images are prepared already: float [batch, h,
            w, 3] in [0, 1].
        """
        batch = as_dictionary(batch)
        if self.supervised_head is None:
            raise ValueError("supervised_head is None, so there is no classifier to evaluate")
        labels, images = labels_of(batch), batch["images"]
        weight = labeled(labels)
        if "weight" in batch:
            weight *= batch["weight"]
        else:
            images = prepare(self.views, images)
        logits = self(images, training=False)["logits_sup"]
        for metric in (self.top_1, self.top_5):
            metric.update_state(labels, logits, sample_weight=weight)
        return {metric.name: metric.result() for metric in (self.top_1, self.top_5)}

    @tf.autograph.experimental.do_not_convert
    def predict_step(self, batch: Any) -> tf.Tensor:
        """Returns the features h, float32 [batch, dim], of a batch of images."""
        images = prepare(self.views, as_dictionary(batch)["images"])
        return tf.cast(self(images, training=False)["final_avg_pool"], tf.float32)


def _ids(variables: Iterable[tf.Variable]) -> set[int]:
    return {id(v) for v in variables}
