"""Per-image random numbers against an independent Threefry, and their statistics."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import stateless
from tests.threefry import threefry_in_python

# From kat_vectors of the Random123 library: threefry2x32, 20 rounds.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.fixture
def seeds():
    def make(count: int) -> np.ndarray:
        return np.random.default_rng(0).integers(-(2**31), 2**31, [count, 2]).astype(np.int32)

    return make


def words(values):
    return tuple(tf.constant(value, tf.uint32) for value in values)


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS)
def test_threefry_gives_the_published_answers(key, counter, answer):
    assert threefry_in_python(key, counter) == answer
    assert (
        tuple(int(word) for word in stateless.threefry_2x32(words(key), words(counter))) == answer
    )


def test_uniform_is_threefry_of_the_counters(seeds):
    drawn = stateless.uniform(tf.constant(seeds(5)), salt=2**31 + 7, count=5).numpy()
    for row, seed in enumerate(seeds(5)):
        key = tuple(int(word) for word in seed.view(np.uint32))
        blocks = [threefry_in_python(key, (pair, 2**31 + 7)) for pair in range(3)]
        expected = [(word >> 8) / 2**24 for block in blocks for word in block][:5]
        np.testing.assert_array_equal(drawn[row], np.float32(expected))


def test_fold_in_is_threefry_of_the_data(seeds):
    folded = stateless.fold_in(tf.constant(seeds(3)), -5).numpy()
    for row, seed in enumerate(seeds(3)):
        key = tuple(int(word) for word in seed.view(np.uint32))
        expected = threefry_in_python(key, (-5 & 0xFFFFFFFF, 0xFFFFFFFF))
        assert tuple(folded[row].view(np.uint32)) == expected


def test_fold_in_broadcasts(seeds):
    both = stateless.fold_in(tf.constant(seeds(3))[:, tf.newaxis], tf.range(2))
    assert both.shape == [3, 2, 2]
    for data in range(2):
        one = stateless.fold_in(tf.constant(seeds(3)), data)
        np.testing.assert_array_equal(both[:, data], one)


def test_fewer_numbers_are_a_prefix_of_more(seeds):
    long = stateless.uniform(tf.constant(seeds(4)), 1, 7)
    np.testing.assert_array_equal(long[:, :3], stateless.uniform(tf.constant(seeds(4)), 1, 3))


def test_numbers_do_not_depend_on_the_batch(seeds):
    all_seeds = seeds(64)
    drawn = stateless.uniform(tf.constant(all_seeds), 3, 4).numpy()
    order = np.random.default_rng(1).permutation(64)
    shuffled = stateless.uniform(tf.constant(all_seeds[order]), 3, 4)
    np.testing.assert_array_equal(shuffled, drawn[order])
    alone = stateless.uniform(tf.constant(all_seeds[9]), 3, 4)
    np.testing.assert_array_equal(alone, drawn[9])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_and_xla_give_the_same_numbers(seeds, jit_compile):
    def draw(given):
        return stateless.uniform(stateless.fold_in(given, 1), 3, 5)

    compiled = tf.function(draw, jit_compile=jit_compile)
    given = tf.constant(seeds(16))
    np.testing.assert_array_equal(compiled(given), draw(given))


def test_tf_data_gives_the_same_numbers(seeds):
    dataset = tf.data.Dataset.from_tensor_slices(seeds(12)).batch(5)
    dataset = dataset.map(lambda s: stateless.uniform(s, 3, 5), num_parallel_calls=2)
    drawn = np.concatenate(list(dataset.as_numpy_iterator()))
    np.testing.assert_array_equal(drawn, stateless.uniform(tf.constant(seeds(12)), 3, 5))


def test_consecutive_seeds_give_uniform_uncorrelated_numbers():
    count = 2**16
    counting = np.stack([np.arange(count), np.zeros(count)], axis=1).astype(np.int32)
    drawn = stateless.uniform(tf.constant(counting), 1, 4).numpy()
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() < 1
    # Chi-square with 255 degrees of freedom: 1e-4 in either tail lies at 178 and 347.
    for column in drawn.T:
        observed = np.bincount((column * 256).astype(int), minlength=256)
        assert 178 < np.sum((observed - count / 256) ** 2) / (count / 256) < 347
    # Four standard errors of a correlation.
    neighbors = np.concatenate([drawn[:-1], drawn[1:]], axis=1)
    correlation = np.corrcoef(neighbors, rowvar=False) - np.eye(8)
    assert np.abs(correlation).max() < 4 / np.sqrt(count)


def test_salts_and_folded_seeds_are_independent(seeds):
    count = 2**15
    given = tf.constant(seeds(count))
    folded = stateless.fold_in(given, 0)
    streams = [
        stateless.uniform(given, 0, 1),
        stateless.uniform(given, 1, 1),
        stateless.uniform(folded, 0, 1),
        stateless.uniform(stateless.fold_in(given, 1), 0, 1),
        stateless.uniform(stateless.fold_in(folded, 0), 0, 1),
        # What the derived seed itself would look like as a number.
        tf.cast(folded[:, :1], tf.float64) / 2**32,
    ]
    correlation = np.corrcoef([stream.numpy()[:, 0] for stream in streams])
    assert np.abs(correlation - np.eye(len(streams))).max() < 4 / np.sqrt(count)


def test_bad_arguments_are_refused(seeds):
    with pytest.raises(ValueError, match="int32"):
        stateless.uniform(tf.constant(seeds(2), tf.int64), 0, 1)
    with pytest.raises(ValueError, match="int32"):
        stateless.fold_in(tf.zeros([2, 3], tf.int32), 0)
    with pytest.raises(ValueError, match="salt"):
        stateless.uniform(tf.constant(seeds(2)), 2**32 - 1, 1)
