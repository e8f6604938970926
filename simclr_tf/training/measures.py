"""What steps measure: the supervised head, and means of it all."""

from __future__ import annotations

from collections.abc import Mapping

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


def record(
    metrics: Mapping[str, tf.keras.metrics.Mean],
    values: Mapping[str, tf.Tensor],
    size: tf.Tensor,
    counts: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Adds a step's values, means over `size` images of this replica, and returns all means.

    Args:
      metrics: by name.
      values: by the same names.
      size: of this replica's batch.
      counts: whether the step counts, a bool scalar; None if it does.
    """
    for name, value in values.items():
        if counts is not None:
            size = tf.where(counts, size, 0)
            value = tf.where(counts, value, tf.zeros_like(value))
        metrics[name].update_state(value, sample_weight=size)
    return {name: metric.result() for name, metric in metrics.items()}
