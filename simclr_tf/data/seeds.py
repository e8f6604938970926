"""One random seed per drawn image: a pure function of the run's seed and the image's position."""

from __future__ import annotations

import tensorflow as tf

_MASK_64 = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def hash_seed(seed: int) -> int:
    """Spreads a user's seed over 64 bits, so that neighbouring seeds share nothing."""
    value = (seed * _GAMMA + _GAMMA) & _MASK_64
    for shift, factor in _STEPS:
        value = ((value ^ (value >> shift)) * factor) & _MASK_64
    return value


def position_seeds(seed: int, positions: tf.Tensor) -> tf.Tensor:
    """Returns the seeds for stateless random operations of the images at `positions`.

    The finaliser of SplitMix64 (Steele et al., 2014, https://doi.org/10.1145/2714064.2660195), a
    bijection of 64 bits: two positions of one run never share a seed, however long the run is, and
    a consumer may add small numbers to a seed without meeting its neighbour's.

    Args:
      seed: the run's seed.
      positions: int64 `[...]`, place in the global stream of drawn images.

    Returns:
      int32 `[..., 2]`.
    """
    value = tf.bitcast(positions, tf.uint64) + tf.constant(hash_seed(seed), tf.uint64)
    for shift, factor in _STEPS:
        value = tf.bitwise.bitwise_xor(
            value, tf.bitwise.right_shift(value, tf.constant(shift, tf.uint64))
        )
        value = value * tf.constant(factor, tf.uint64)
    return tf.bitcast(value, tf.int32)
