"""Random numbers that belong to an image, not to a batch.

`tf.random.stateless_uniform` takes one seed for a whole tensor, so that an image's numbers depend
on its place in the batch. Here each image has a seed of its own, and a counter-based generator
(Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11)
turns it into numbers with elementwise integer operations only. The same seed gives the same numbers
in any batch, in any order, on any number of devices, eagerly, in tf.data and under XLA.
"""

from __future__ import annotations

import tensorflow as tf

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_ROUNDS = 20
_PARITY = 0x1BD11BDA
_LARGEST_SALT = 0xFFFFFFFE
# The second counter word tells streams apart: salts below it, derived seeds at it.
_FOLD_STREAM = 0xFFFFFFFF


def _rotate_left(words: tf.Tensor, bits: int) -> tf.Tensor:
    high = tf.bitwise.left_shift(words, tf.constant(bits, tf.uint32))
    low = tf.bitwise.right_shift(words, tf.constant(32 - bits, tf.uint32))
    return tf.bitwise.bitwise_or(high, low)


def threefry_2x32(
    key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Encrypts a counter with a key: two uint32 words each, of broadcastable shapes.

    Args:
      key: two uint32 tensors.
      counter: two uint32 tensors.

    Returns:
      Two uint32 tensors of the broadcast shape, indistinguishable from random.
    """
    parity = tf.constant(_PARITY, tf.uint32)
    schedule = (key[0], key[1], tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(*key), parity))
    first, second = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(_ROUNDS // 4):
        for bits in _ROTATIONS[group % 2]:
            first = first + second
            second = tf.bitwise.bitwise_xor(_rotate_left(second, bits), first)
        injection = group + 1
        first = first + schedule[injection % 3]
        second = second + schedule[(injection + 1) % 3] + tf.constant(injection, tf.uint32)
    return first, second


def _check_seeds(seeds: tf.Tensor) -> tf.Tensor:
    seeds = tf.convert_to_tensor(seeds)
    if seeds.dtype != tf.int32 or seeds.shape.rank == 0 or seeds.shape[-1] != 2:
        raise ValueError(f"seeds must be int32 [..., 2], got {seeds.dtype.name} {seeds.shape}")
    return seeds


def _key(seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    words = tf.bitcast(seeds, tf.uint32)
    return words[..., 0], words[..., 1]


def uniform(seeds: tf.Tensor, salt: int, count: int) -> tf.Tensor:
    """Draws `count` numbers for each seed.

    Fewer numbers of one seed and salt are a prefix of more.

    Args:
      seeds: int32 `[..., 2]`, one seed an image.
      salt: 0 to 2**32 - 2. Different salts give independent numbers from one seed.
      count: how many numbers an image needs.

    Returns:
      float32 `[..., count]`, multiples of 2**-24 in [0, 1).

    Raises:
      ValueError: if the seeds are no int32 pairs or the salt is out of range.
    """
    seeds = _check_seeds(seeds)
    if not 0 <= salt <= _LARGEST_SALT:
        raise ValueError(f"salt must lie in [0, 2**32 - 2], got {salt}")
    pairs = (count + 1) // 2
    key = tuple(word[..., tf.newaxis] for word in _key(seeds))
    counter = (tf.constant(list(range(pairs)), tf.uint32), tf.constant(salt, tf.uint32))
    words = tf.stack(threefry_2x32(key, counter), axis=-1)
    words = tf.reshape(words, tf.concat([tf.shape(seeds)[:-1], [2 * pairs]], axis=0))
    # A float32 holds 24 bits: with more, numbers next to 1 would round up to it.
    bits = tf.bitwise.right_shift(words[..., :count], tf.constant(8, tf.uint32))
    numbers = tf.cast(tf.bitcast(bits, tf.int32), tf.float32) * 2.0**-24
    return tf.ensure_shape(numbers, seeds.shape[:-1] + [count])


def fold_in(seeds: tf.Tensor, data: int | tf.Tensor) -> tf.Tensor:
    """Derives new seeds, independent of the old ones and of those for any other `data`.

    Args:
      seeds: int32 `[..., 2]`.
      data: a number such as a view's index or an epoch, or an int32 tensor that broadcasts
        against `seeds[..., 0]`.

    Returns:
      int32 `[..., 2]`.

    Raises:
      ValueError: if the seeds are no int32 pairs.
    """
    seeds = _check_seeds(seeds)
    data = tf.bitcast(tf.convert_to_tensor(data, tf.int32), tf.uint32)
    words = threefry_2x32(_key(seeds), (data, tf.constant(_FOLD_STREAM, tf.uint32)))
    return tf.bitcast(tf.stack(words, axis=-1), tf.int32)
