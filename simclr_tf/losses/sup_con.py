"""Supervised contrastive learning: views of all images of a class are positives."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.distribution.gather import gather_replicas
from simclr_tf.losses.comparing import NTXentOutput, compare, means, split_views


def sup_con(
    hidden: tf.Tensor, labels: tf.Tensor, *, temperature: float, hidden_norm: bool = True
) -> NTXentOutput:
    """Asks each view to find all views of its class among all other views of the global batch.

    The mean over positives stands outside the logarithm (Khosla et al., Supervised Contrastive
    Learning, https://arxiv.org/abs/2004.11362, equation 2). An image without a label has its other
    view for its only positive, so that without labels, or with as many classes as images, this is
    `nt_xent`. Otherwise as there: the sum of both directions, a mean over local pairs; accuracy and
    entropy are those of NT-Xent.

    Args:
      hidden: float [2 * local pairs, dim], see `nt_xent`.
      labels: integers [local pairs], -1 for none.
      temperature: the similarities are divided by it. Positive.
      hidden_norm: compare by cosine instead of by dot product.

    Raises:
      ValueError: as `nt_xent`.
    """
    compared = compare(*split_views(hidden), temperature=temperature, hidden_norm=hidden_norm)
    classes = _number(gather_replicas(tf.cast(labels, tf.int32)))
    pairs = tf.shape(classes)[0]
    # Sums of the views of each class, in place of a matrix of who is whose positive.
    sums = tf.math.unsorted_segment_sum(tf.reduce_sum(compared.everywhere, axis=0), classes, pairs)
    counts = tf.math.unsorted_segment_sum(2.0 * tf.ones_like(classes, tf.float32), classes, pairs)
    local = tf.gather(classes, compared.offset + tf.range(tf.shape(compared.views)[1]))
    others = tf.gather(sums, local)[tf.newaxis] - compared.views
    positive = tf.reduce_sum(compared.views * others, axis=2) / temperature
    positive /= tf.gather(counts, local) - 1.0
    return means(compared.of_pairs(tf.reduce_sum(compared.figures.log_sum_exp - positive, axis=0)))


def _number(labels: tf.Tensor) -> tf.Tensor:
    """Numbers the classes that there are from 0, and each -1 as a class of its own, [images]."""
    order = tf.argsort(labels, stable=True)
    ordered = tf.gather(labels, order)
    is_new = tf.concat([[False], (ordered[1:] != ordered[:-1]) | (ordered[1:] < 0)], axis=0)
    numbers = tf.cumsum(tf.cast(is_new, tf.int32))
    return tf.scatter_nd(order[:, tf.newaxis], numbers, tf.shape(labels))
