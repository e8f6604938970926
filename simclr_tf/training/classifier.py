"""Supervised training of a pre-trained encoder: fine-tuning and linear evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from simclr_tf.architecture import FREEZE_AFTER, Architecture
from simclr_tf.bounds import check_argument
from simclr_tf.models import ProjectionHead, SupervisedHead, encoders
from simclr_tf.training.batches import Batch, as_dictionary, labels_of, make_views, with_seeds
from simclr_tf.training.measures import share_labeled, supervised
from simclr_tf.training.network import Network

if TYPE_CHECKING:  # importing it brings keras-cv, which takes seconds
    from simclr_tf.augmentation import Views


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class Classifier(Network):
    """Trains the supervised head and whatever part of the network is not frozen.

        model = Classifier(pretrained.encoder, supervised_head=SupervisedHead(10),
                           views=SupervisedView(32), train_after_block=4)

    Args:
      encoder, weight_decay, decay_in_optimizer, seed: see `Network`. The encoder itself is frozen,
        also where another model shares it.
      projection_head: None leaves an encoder that is not an `Architecture` without one.
      supervised_head: the classifier.
      views: makes one view of each image, a `SupervisedView`.
      projection_selector: which of the projection head's hidden vectors the supervised head reads
        (reference flag `ft_proj_selector`); 0 is the features themselves.
      train_after_block: reference flag `fine_tune_after_block`: -1 trains everything, 0 all after
        the stem, 4 the supervised head only. Frozen parts keep weights and batch-norm statistics.
        An encoder that is no ResNet of this package knows -1 and 4.
    """

    supervised_head: SupervisedHead

    def __init__(
        self,
        encoder: Architecture | tf.keras.Model,
        projection_head: ProjectionHead | None = None,
        supervised_head: SupervisedHead | None = None,
        *,
        views: Views | None = None,
        projection_selector: int = 0,
        train_after_block: int = -1,
        weight_decay: float = 0.0,
        decay_in_optimizer: bool = False,
        seed: int = 0,
    ) -> None:
        check_argument("train_after_block", train_after_block, FREEZE_AFTER, whole=True)
        if supervised_head is None:
            raise ValueError("supervised_head=None; give a classifier its SupervisedHead(classes)")
        if projection_head is None and not isinstance(encoder, Architecture):
            projection_head = ProjectionHead("none")
        super().__init__(
            encoder,
            projection_head,
            supervised_head,
            views=views,
            projection_selector=projection_selector,
            weight_decay=weight_decay,
            decay_in_optimizer=decay_in_optimizer,
            seed=seed,
        )
        self.train_after_block = train_after_block
        encoders.freeze(self.encoder, train_after_block)
        # Layers behind the one that the classifier reads get no gradient; frozen, their batch-norm
        # statistics stay too.
        layers = self.projection_head.layers
        read = range(len(layers) + 1)[self.projection_selector]
        for layer in layers[0 if train_after_block == 4 else read :]:
            layer.trainable = False
        names = ["total_loss", "weight_decay", "supervised_loss", "supervised_acc"]
        self.train_metrics = {name: tf.keras.metrics.Mean(f"train/{name}") for name in names}

    @tf.autograph.experimental.do_not_convert  # nothing to convert; tracing is much faster
    def train_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """One optimizer step.

        Args:
          batch: images, or what was made of them already, and labels, -1 for none; see
            `as_dictionary`.

        Returns:
          Means since the metrics were last reset.
        """
        before = self.begin_step()
        batch = as_dictionary(batch)
        labels = self.labels(batch)
        known, part, factor = share_labeled(labels)
        batch = with_seeds(self.views, batch, step=self.optimizer.iterations, seed=self.seed)
        images = make_views(self.views, batch)
        with tf.GradientTape() as tape:
            features = encoders.endpoints(self.encoder, images, training=True)["final_avg_pool"]
            hidden = self.projection_head(features, training=True)
            logits = self.supervised_head(hidden[self.projection_selector])
            classification = supervised(labels, logits)
            loss, more = self.objective(images, logits, classification["supervised_loss"] * factor)
            decay = self.penalty()
            loss += decay
            share = loss * part
        scale = self.loss_scale
        gradients = tape.gradient(share, self.trainable_variables, output_gradients=scale)
        values = {"total_loss": loss, "weight_decay": decay, **more}
        measured = [(values, tf.shape(labels)[0])]
        if self.reads_labels:
            measured.append((classification, known))
        return self.end_step(before, gradients, *measured)

    @property
    def reads_labels(self) -> bool:
        """Whether labels are learned from."""
        return True

    def labels(self, batch: Batch) -> tf.Tensor:
        """Returns the labels of a batch, int64 [batch], -1 for none."""
        return labels_of(batch)

    def objective(
        self, images: tf.Tensor, logits: tf.Tensor, supervised_loss: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the loss without weight decay, and what else is measured.

        Args:
          images: what the network saw, float32 [batch, h, w, 3] in [0, 1].
          logits: that it gave, [batch, classes].
          supervised_loss: cross-entropy, times the factor of `share_labeled`.

        Returns:
          A scalar whose mean over replicas, by their images, is the loss of the global batch; and
          means over this replica's images by the names of metrics.
        """
        del images, logits
        return supervised_loss, {}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "train_after_block": self.train_after_block}
