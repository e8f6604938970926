"""Seeds of images and of the order: an independent Threefry's, unique, unrelated between runs."""

from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf import stateless
from simclr_tf.data import position_seeds, seeds
from tests.threefry import threefry_in_python

POSITIONS = [0, 1, 2**31 - 1, 2**31, 2**32 + 5, 2**50 + 3, 2**63 - 1]


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1])
def test_image_seeds_are_threefry_of_the_position(seed):
    result = position_seeds(seed, tf.constant(POSITIONS, tf.int64)).numpy()
    assert result.dtype == np.int32
    expected = [threefry_in_python((seed, 0), (p % 2**32, p // 2**32)) for p in POSITIONS]
    assert list(map(tuple, result.view(np.uint32).tolist())) == expected


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1])
def test_order_key_is_threefry_with_a_key_of_its_own(seed):
    low, high = threefry_in_python((seed, 1), (0, 0))
    expected = (high << 32 | low) % (2**31 - 2) + 1
    assert seeds.order_key(seed) == expected
    traced = tf.function(lambda: tf.constant(seeds.order_key(seed)))
    assert traced() == expected


def test_no_two_images_share_a_seed():
    near = tf.range(50_000, dtype=tf.int64)
    both = tf.concat([position_seeds(0, near), position_seeds(0, near + 2**32)], axis=0).numpy()
    other = position_seeds(1, near).numpy()
    assert len(np.unique(np.concatenate([both, other]), axis=0)) == 150_000


def test_what_images_derive_never_meets():
    """Neither with what a neighbor derives nor with the seeds of any."""
    own = position_seeds(0, tf.range(20_000, dtype=tf.int64))
    derived = [stateless.fold_in(own, data) for data in range(4)]
    derived.append(stateless.fold_in(derived[0], 0))
    every = tf.concat([own, *derived], axis=0).numpy()
    assert len(np.unique(every, axis=0)) == 6 * 20_000


def test_neighboring_runs_and_positions_are_unrelated():
    count = 2**15
    here = tf.range(count, dtype=tf.int64)
    streams = [
        stateless.uniform(position_seeds(seed, positions), 0, 1)[:, 0]
        for seed, positions in ((0, here), (1, here), (2, here), (2**31, here), (0, here + 1))
    ]
    correlation = np.corrcoef(np.stack(streams))
    assert np.abs(correlation - np.eye(len(streams))).max() < 4 / np.sqrt(count)
    assert len({seeds.order_key(seed) for seed in range(1000)}) == 1000


def test_seeds_keep_the_shape_of_positions():
    assert position_seeds(0, tf.constant(3, tf.int64)).shape == (2,)
    assert position_seeds(0, tf.zeros((4, 5), tf.int64)).shape == (4, 5, 2)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_of_more_than_a_word_is_refused(seed):
    for draw in (seeds.order_key, lambda seed: position_seeds(seed, tf.constant(0, tf.int64))):
        with pytest.raises(ValueError, match=f"seed must be 0 to 4,294,967,295, got {seed}"):
            draw(seed)
