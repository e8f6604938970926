"""Encoder, projection head and classifier: the parts that every checkpoint and SavedModel holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tensorflow as tf

from simclr_tf.models.projection_head import ProjectionHead
from simclr_tf.models.resnet import ResNet
from simclr_tf.models.supervised_head import SupervisedHead
from simclr_tf.models.variables import normalization_and_bias_variables
from simclr_tf.optimizers import l2_penalty


class Network(tf.keras.Model):
    """An encoder f, a projection head g and, where there are labels, a supervised head.

    Subclasses train it; this class holds the parts and evaluates the supervised head. Their
    training step calls `finish_views` on a batch, which may be set to make the views on the device.

    Args:
      encoder: images float [batch, h, w, 3] in [0, 1] -> features h [batch, dim].
      projection_head: features -> list of hidden vectors, the projection z last.
      supervised_head: features or a hidden vector of the projection head -> logits, or None.
      projection_selector: which of the projection head's hidden vectors the supervised head reads
        (reference flag `ft_proj_selector`); 0 is the features themselves.
      weight_decay: factor of the L2 penalty on `penalized` variables.
      decay_in_optimizer: whether the optimizer itself decays weights (LARS, LAMB, AdamW). The loss
        then penalises the supervised head's kernel only, which those optimizers leave alone.
    """

    def __init__(
        self,
        encoder: ResNet,
        projection_head: ProjectionHead,
        supervised_head: SupervisedHead | None,
        *,
        projection_selector: int = 0,
        weight_decay: float = 0.0,
        decay_in_optimizer: bool = False,
    ):
        super().__init__()
        self.encoder = encoder
        self.projection_head = projection_head
        self.supervised_head = supervised_head
        self.projection_selector = projection_selector
        self.weight_decay = weight_decay
        self.decay_in_optimizer = decay_in_optimizer
        # What a step returns are metrics' results, of all replicas already. Keras would add them up
        # over machines once more.
        self.distribute_reduction_method = "first"
        self.finish_views: Callable[[dict[str, tf.Tensor]], tf.Tensor] = _made_on_the_host
        self.top_1 = tf.keras.metrics.SparseCategoricalAccuracy("eval/label_top_1_accuracy")
        self.top_5 = tf.keras.metrics.SparseTopKCategoricalAccuracy(5, "eval/label_top_5_accuracy")

    def call(self, images: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Returns the encoder's endpoints, `proj_head_input`, `proj_head_output`, `logits_sup`.

        Args:
          images: float [batch, h, w, 3] in [0, 1].
          training: whether batch normalisation uses, and updates from, the batch's statistics.
        """
        outputs = self.encoder.endpoints(images, training=training)
        hidden = self.projection_head(outputs["final_avg_pool"], training=training)
        outputs["proj_head_input"] = hidden[0]
        outputs["proj_head_output"] = hidden[-1]
        if self.supervised_head is not None:
            outputs["logits_sup"] = self.supervised_head(hidden[self.projection_selector])
        return outputs

    def create_variables(self) -> None:
        """Creates all variables, by running a small black image through every part.

        None of them depends on the image's size.
        """
        self(tf.zeros([1, 32, 32, 3]), training=False)

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
        """L2 penalty that the loss adds, a float32 scalar (reference: add_weight_decay)."""
        if self.weight_decay == 0:
            return tf.constant(0.0)
        head = self.supervised_head.trainable_variables if self.supervised_head else []
        candidates = head if self.decay_in_optimizer else self.trainable_variables
        skipped = _ids(normalization_and_bias_variables(self))
        return l2_penalty([v for v in candidates if id(v) not in skipped], self.weight_decay)

    def apply_loss(self, tape: tf.GradientTape, share: tf.Tensor) -> None:
        """Takes one optimizer step.

        Args:
          tape: recorded the loss.
          share: this replica's share of it, `loss * replica_share(batch)`, since Keras sums
            gradients over replicas.
        """
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(share, variables), variables))

    @tf.autograph.experimental.do_not_convert  # nothing to convert; tracing is much faster
    def test_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Counts top-1 and top-5 hits; rows of weight 0 are padding and count nowhere."""
        logits = self(batch["image"], training=False)["logits_sup"]
        for metric in (self.top_1, self.top_5):
            metric.update_state(batch["label"], logits, sample_weight=batch["weight"])
        return {metric.name: metric.result() for metric in (self.top_1, self.top_5)}


def _made_on_the_host(batch: dict[str, tf.Tensor]) -> tf.Tensor:
    return batch["views"]


def supervised_loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy over this replica's examples.

    Args:
      labels: int64 [batch].
      logits: [batch, classes].
    """
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )


def accuracy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Share of examples whose largest logit is the label's, float32."""
    hits = tf.equal(labels, tf.argmax(logits, axis=-1))
    return tf.reduce_mean(tf.cast(hits, tf.float32))


def _ids(variables: Iterable[tf.Variable]) -> set[int]:
    return {id(v) for v in variables}
