"""Vectors cut into tiles of one height, of which the last is filled up."""

from __future__ import annotations

from typing import TypeAlias

import tensorflow as tf

Size: TypeAlias = int | tf.Tensor
"""Static where it is known, which XLA on TPUs relies on."""

# Far below any logit. Of two of them the sum is finite, and exp makes 0 of either.
MASKED = float(tf.float32.min) / 2


def cut(
    views: tf.Tensor, tile: int, *, there: tuple[float, float], padding: tuple[float, float]
) -> tf.Tensor:
    """Cuts each view into tiles, the last ones filled up, and appends two dimensions.

    Args:
      views: [2, n, dim].
      tile: most rows of a tile.
      there: what is appended to each row.
      padding: what is appended to the rows that fill up.

    Returns:
      [2 * tiles of a view, rows, dim + 2].
    """
    n, dim = size(views), views.shape[2]
    # One tile of padding where there is nothing.
    rows = max(1, min(tile, n)) if isinstance(n, int) else tf.clip_by_value(n, 1, tile)
    count = max(1, -(-n // rows)) if isinstance(n, int) else tf.maximum(1, -(-n // rows))
    missing = count * rows - n
    more = [
        tf.pad(
            tf.fill([2, n, 1], float(own)),
            [[0, 0], [0, missing], [0, 0]],
            constant_values=float(filled),
        )
        for own, filled in zip(there, padding)
    ]
    padded = tf.concat([tf.pad(views, [[0, 0], [0, missing], [0, 0]]), *more], 2)
    return tf.reshape(padded, [2 * count, rows, dim + 2])


def join(tiles: tf.Tensor, views: int, n: Size) -> tf.Tensor:
    """Undoes `cut`: returns [views, n, ...] of [tiles of all views, rows, ...]."""
    rows = tf.reshape(tiles, [views, count(tiles) // views * size(tiles), *tiles.shape[2:]])
    return rows[:, :n]


def add(to: tf.Tensor, index: tuple[tf.Tensor, ...], value: tf.Tensor) -> tf.Tensor:
    """Returns `to` with `value` added at `index`, in place where nobody else holds it."""
    return tf.tensor_scatter_nd_add(to, [index], [value])


def size(views: tf.Tensor) -> Size:
    """Returns the number of rows of each view, or of each tile."""
    static = views.shape[1]
    return tf.shape(views)[1] if static is None else static


def count(tiles: tf.Tensor) -> Size:
    """Returns the number of tiles."""
    static = tiles.shape[0]
    return tf.shape(tiles)[0] if static is None else static
