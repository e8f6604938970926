"""What the supervised head learns by, and how often it is right."""

from __future__ import annotations

import tensorflow as tf


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
