"""Supervised training of a pre-trained encoder: fine-tuning and linear evaluation."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.distribution import replica_share
from simclr_tf.models.supervised_head import SupervisedHead
from simclr_tf.training.network import Network, accuracy, supervised_loss


class Classifier(Network):
    """Trains the supervised head and whatever part of the network is not frozen.

    Args:
      train_after_block: reference flag `fine_tune_after_block`: -1 trains everything, 0 all after
        the stem, 4 the supervised head only. Frozen parts keep weights and batch-norm statistics.
      *args, **kwargs: of `Network`; the supervised head is required.
    """

    supervised_head: SupervisedHead

    def __init__(self, *args, train_after_block: int = -1, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoder.freeze(train_after_block)
        # Layers behind the one that the classifier reads get no gradient; frozen, their batch-norm
        # statistics stay too.
        layers = self.projection_head.layers
        read = range(len(layers) + 1)[self.projection_selector]
        for layer in layers[0 if train_after_block == 4 else read :]:
            layer.trainable = False
        names = ["total_loss", "weight_decay", "supervised_loss", "supervised_acc"]
        self.train_metrics = {name: tf.keras.metrics.Mean(f"train/{name}") for name in names}

    @tf.autograph.experimental.do_not_convert  # nothing to convert; tracing is much faster
    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One optimizer step.

        Args:
          batch: `label` int64 [batch] and what `finish_views` turns into float32
            [batch, h, w, 3] in [0, 1].

        Returns:
          Means since the metrics were last reset.
        """
        images = self.finish_views(batch)
        with tf.GradientTape() as tape:
            features = self.encoder(images, training=True)
            hidden = self.projection_head(features, training=True)
            logits = self.supervised_head(hidden[self.projection_selector])
            classification = supervised_loss(batch["label"], logits)
            decay = self.penalty()
            loss = classification + decay
            share = loss * replica_share(tf.shape(batch["label"])[0])
        self.apply_loss(tape, share)
        for name, value in {
            "total_loss": loss,
            "weight_decay": decay,
            "supervised_loss": classification,
            "supervised_acc": accuracy(batch["label"], logits),
        }.items():
            self.train_metrics[name].update_state(value)
        return {name: metric.result() for name, metric in self.train_metrics.items()}
