"""Where a run's randomness in the data comes from: its own seed, and a place in the stream.

The generator is Threefry (see `simclr_tf.stateless`). Its key is the run's seed and a number for
the purpose; its counter is a place, 64 bits wide. For one key Threefry is a bijection from counters
to results, so that no two places ever share a seed, however long a run is; other keys, such as the
neighboring seed's, are unrelated bijections.

An image's seed is then a key itself, for `stateless.uniform` and `stateless.fold_in`. Two images
have different keys there, whatever their counters are: what one image draws or derives meets
what another one does only where two random numbers of 64 bits happen to be equal.
"""

from __future__ import annotations

import operator

import tensorflow as tf

from simclr_tf import stateless
from simclr_tf.bounds import SEED

_IMAGES, _ORDER = range(2)  # purposes


def position_seeds(seed: int, positions: tf.Tensor) -> tf.Tensor:
    """Returns the seeds for stateless random operations of the images at `positions`.

    Args:
      seed: the run's seed, 0 to 2**32 - 1.
      positions: int64 `[...]`, places in the global stream of drawn images.

    Returns:
      int32 `[..., 2]`. No two positions of a run have the same seed.

    Raises:
      ValueError: if the run's seed is out of bounds.
    """
    return tf.bitcast(_encrypt(seed, _IMAGES, positions), tf.int32)


def order_key(seed: int) -> int:
    """Returns the key of a run's order of files and examples, 1 to 2**31 - 2, as tf.data takes it.

    Args:
      seed: the run's seed, 0 to 2**32 - 1.

    Raises:
      ValueError: if the run's seed is out of bounds.
    """
    with tf.init_scope():  # a number also while something else is traced
        low, high = _encrypt(seed, _ORDER, tf.constant(0, tf.int64)).numpy().tolist()
    return (low + high * 2**32) % (2**31 - 2) + 1


def _encrypt(seed: int, purpose: int, places: tf.Tensor) -> tf.Tensor:
    """Returns uint32 `[..., 2]` for int64 `[...]`, a bijection."""
    seed = operator.index(seed)
    if not SEED.allows(seed):
        raise ValueError(f"seed must be {SEED}, got {seed}")
    key = tf.constant(seed, tf.uint32), tf.constant(purpose, tf.uint32)
    words = tf.bitcast(places, tf.uint32)  # the lower word first
    return tf.stack(stateless.threefry_2x32(key, (words[..., 0], words[..., 1])), axis=-1)
