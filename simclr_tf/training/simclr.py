"""SimCLR: contrastive pre-training of an encoder (arXiv 2002.05709, algorithm 1)."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.distribution import replica_share
from simclr_tf.losses import nt_xent
from simclr_tf.training.network import Network, accuracy, supervised_loss


class SimCLR(Network):
    """Pulls together an image's two views and pushes apart all others of the global batch.

    Args:
      temperature: of NT-Xent.
      hidden_norm: whether projections are normalised to unit length.
      *args, **kwargs: of `Network`. A supervised head is trained as an online linear probe behind
        a stop-gradient: it never changes the encoder.
    """

    def __init__(self, *args, temperature: float, hidden_norm: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.temperature = temperature
        self.hidden_norm = hidden_norm
        names = ["total_loss", "weight_decay", "contrast_loss", "contrast_acc", "contrast_entropy"]
        if self.supervised_head is not None:
            names += ["supervised_loss", "supervised_acc"]
        self.train_metrics = {name: tf.keras.metrics.Mean(f"train/{name}") for name in names}

    @tf.autograph.experimental.do_not_convert  # nothing to convert; tracing is much faster
    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One optimizer step.

        Args:
          batch: `label` int64 [pairs] and what `finish_views` turns into float32
            [pairs, 2, h, w, 3] in [0, 1].

        Returns:
          Means since the metrics were last reset.
        """
        views = self.finish_views(batch)
        images = tf.concat([views[:, 0], views[:, 1]], axis=0)
        values = {}
        with tf.GradientTape() as tape:
            features = self.encoder(images, training=True)
            hidden = self.projection_head(features, training=True)
            contrast = nt_xent(
                hidden[-1], temperature=self.temperature, hidden_norm=self.hidden_norm
            )
            values["contrast_loss"] = contrast.loss
            values["contrast_acc"] = contrast.accuracy
            values["contrast_entropy"] = contrast.entropy
            values["weight_decay"] = self.penalty()
            loss = contrast.loss + values["weight_decay"]
            if self.supervised_head is not None:
                labels = tf.concat([batch["label"], batch["label"]], axis=0)
                logits = self.supervised_head(tf.stop_gradient(features))
                values["supervised_loss"] = supervised_loss(labels, logits)
                values["supervised_acc"] = accuracy(labels, logits)
                loss += values["supervised_loss"]
            share = loss * replica_share(tf.shape(batch["label"])[0])
        values["total_loss"] = loss
        self.apply_loss(tape, share)
        for name, value in values.items():
            self.train_metrics[name].update_state(value)
        return {name: metric.result() for name, metric in self.train_metrics.items()}
