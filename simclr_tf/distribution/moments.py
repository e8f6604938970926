"""Mean and variance of what all replicas hold, from those of each."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from simclr_tf.distribution.gather import context_of_many_replicas


def merge_moments(
    count: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the count, mean and variance of all replicas' values together, the same on each.

    Nothing is lost where the mean is large and the variance small, as in a difference of sums: the
    variance is the mean of the replicas' own and of their means' squared distances from the common
    one (Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample
    variances, 1979), so it cannot be negative either.

    One collective forward, `2 * channels + 1` numbers of every replica, and one backward, `2 *
    channels` sums. Does nothing where there is one replica or no strategy.

    Args:
      count: float scalar, how many values this replica has in each channel; may be 0. No gradient
        flows to it.
      mean: float [channels], of this replica's values; 0 if it has none.
      variance: float [channels], likewise, the biased one.
    """
    context = context_of_many_replicas()
    if context is None:
        return count, mean, variance

    channels = mean.shape[0]

    def add_up(tensor: tf.Tensor) -> tf.Tensor:
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)

    @tf.custom_gradient
    def merge(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Callable]:
        # Every replica's numbers stand in a row of their own: their sum gathers them. all_gather
        # would ask for sizes first, and its gradient is a sum over all rows.
        place = tf.one_hot(
            context.replica_id_in_sync_group, context.num_replicas_in_sync, dtype=mean.dtype
        )
        own = tf.concat([tf.reshape(count, [1]), mean, variance], axis=0)
        rows = add_up(place[:, tf.newaxis] * own[tf.newaxis, :])  # [replicas, 1 + 2 * channels]
        counts, means, variances = tf.split(rows, [1, channels, channels], axis=1)
        total = tf.reduce_sum(counts)
        shares = tf.math.divide_no_nan(counts, total)
        # About the first one, since shares times large means would round what tells them apart.
        common = means[0] + tf.reduce_sum(shares * (means - means[0]), axis=0)
        spread = tf.math.squared_difference(means, common)
        merged = total, common, tf.reduce_sum(shares * (variances + spread), axis=0)

        def gradient(
            _: tf.Tensor, to_mean: tf.Tensor, to_variance: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            to_mean, to_variance = tf.unstack(add_up(tf.stack([to_mean, to_variance])))
            share = tf.math.divide_no_nan(count, total)
            return (
                share * (to_mean + 2 * (mean - common) * to_variance),
                share * to_variance,
            )

        return merged, gradient

    return merge(mean, variance)
