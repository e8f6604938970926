"""What steps measure: the supervised head, and means of it all."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from simclr_tf.distribution import replica_share, sum_scalars


def labeled(labels: tf.Tensor) -> tf.Tensor:
    """Returns 1 for each label and 0 for -1, which says that there is none, float32 [batch]."""
    return tf.cast(labels >= 0, tf.float32)


def supervised(labels: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns means over this replica's labeled examples, 0 where there are none.

    Args:
      labels: int64 [batch], -1 for none.
      logits: [batch, classes].

    Returns:
      `supervised_loss`, the cross-entropy, and `supervised_acc`, the share of examples whose
      largest logit is the label's, float32.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.maximum(labels, 0), logits=tf.cast(logits, tf.float32)
    )
    hits = tf.cast(tf.equal(labels, tf.argmax(logits, axis=-1)), tf.float32)
    weights = labeled(labels)
    return {"supervised_loss": _mean(losses, weights), "supervised_acc": _mean(hits, weights)}


def share_labeled(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Shares out a loss of which a part is a mean over labeled examples alone.

    Args:
      labels: int64 [batch], -1 for none.

    Returns:
      int32 scalar, the number of this replica's labels; and float32 scalars: the replica's share of
      the batch, see `replica_share`, and the factor of that part of the loss, which is 1 where all
      replicas have as many labels for their images.
    """
    count = tf.math.count_nonzero(labels >= 0, dtype=tf.int32)
    shares = replica_share(tf.stack([tf.size(labels), count]))
    return count, shares[0], tf.math.divide_no_nan(shares[1], shares[0])


def record(
    metrics: Mapping[str, tf.keras.metrics.Mean],
    *measured: tuple[Mapping[str, tf.Tensor], tf.Tensor],
    counts: tf.Tensor | None = None,
    more: Mapping[str, tf.Tensor] | None = None,
    with_sums: bool = False,
) -> dict[str, tf.Tensor]:
    """Adds a step's values, and returns all means over what all replicas have added.

    They are summed in one collective: `metric.result()` would take two for each.

    Args:
      metrics: by name.
      *measured: values by the same names, and over how many images of this replica they are means.
      counts: whether the step counts, a bool scalar; None if it does.
      more: float32 scalars by name, to be summed over replicas in the same collective.
      with_sums: whether to return `sums` too, float32 [metrics, 2]: of each metric, in their order,
        the sum over images and the number of images, so that a caller can have means of its own.
    """
    for values, size in measured:
        for name, value in values.items():
            if counts is not None:
                size = tf.where(counts, size, 0)
                value = tf.where(counts, value, tf.zeros_like(value))
            metrics[name].update_state(value, sample_weight=size)
    own = {
        name: (metric.total.read_value(), metric.count.read_value())
        for name, metric in metrics.items()
    }
    sums, more = sum_scalars((own, dict(more or {})))
    means = {name: tf.math.divide_no_nan(*pair) for name, pair in sums.items()}
    if with_sums:
        means["sums"] = tf.stack([tf.stack(sums[name]) for name in metrics])
    return {**means, **more}


def _mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))
