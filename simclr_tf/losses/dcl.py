"""Decoupled contrastive learning: NT-Xent without the positive in the denominator."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.losses.comparing import NTXentOutput, compare, means, split_views


def dcl(hidden: tf.Tensor, *, temperature: float, hidden_norm: bool = True) -> NTXentOutput:
    """Pulls partners together and pushes all other views of the global batch away.

    NT-Xent's gradient fades where a partner is found easily, as it is among few negatives. Here the
    partner is not among what its logit is compared with (Yeh et al., Decoupled Contrastive
    Learning, https://arxiv.org/abs/2110.06848, without its weights). The loss may be negative.
    Otherwise as `nt_xent`: the sum of both directions, a mean over local pairs.

    Args:
      hidden: float [2 * local pairs, dim], see `nt_xent`.
      temperature: the similarities are divided by it. Positive.
      hidden_norm: compare by cosine instead of by dot product.

    Raises:
      ValueError: as `nt_xent`.
    """
    compared = compare(
        *split_views(hidden),
        temperature=temperature,
        hidden_norm=hidden_norm,
        without_partner=True,
    )
    positive = tf.reduce_sum(compared.views[0] * compared.views[1], axis=1) / temperature
    negatives = compared.figures.log_sum_exp
    # A batch of one image has no negatives: nothing to push away from.
    negatives = tf.where(tf.math.is_finite(negatives), negatives, tf.zeros_like(negatives))
    return means(compared.of_pairs(tf.reduce_sum(negatives, axis=0) - 2.0 * positive))
