"""Image seeds: the published SplitMix64, unique, and unrelated from one run's seed to the next."""

from __future__ import annotations

import numpy as np

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.data import position_seeds, seeds

MASK = 2**64 - 1


def mix(value: int) -> int:
    """SplitMix64's finaliser, on Python integers."""
    value &= MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def test_first_output_of_splitmix64():
    # The first number that the published generator gives from state 0.
    assert seeds.hash_seed(0) == 0xE220A8397B1DCDAF


def test_is_splitmix64_at_any_position():
    positions = [0, 1, 2**31 - 1, 2**31, 2**32 + 5, 2**50 + 3]
    result = position_seeds(7, tf.constant(positions, tf.int64)).numpy()
    assert result.dtype == np.int32
    low, high = result.astype(np.uint32).astype(object).T
    assert [h << 32 | lo for lo, h in zip(low, high, strict=True)] == [
        mix(p + seeds.hash_seed(7)) for p in positions
    ]


def test_no_two_images_share_a_seed():
    near = tf.range(50_000, dtype=tf.int64)
    both = tf.concat([position_seeds(0, near), position_seeds(0, near + 2**32)], axis=0).numpy()
    other = position_seeds(1, near).numpy()
    assert len(np.unique(np.concatenate([both, other]), axis=0)) == 150_000


def test_seeds_keep_the_shape_of_positions():
    assert position_seeds(0, tf.constant(3, tf.int64)).shape == (2,)
    assert position_seeds(0, tf.zeros((4, 5), tf.int64)).shape == (4, 5, 2)
