"""Linear image operations that treat rows and columns separately: resizing, cropping, blurring.

They work on lines, `[batch, H, C, W]`: a line is one row of one channel. So rows are mixed by one
matrix product, columns by another, and nothing is transposed between the two.
"""

from __future__ import annotations

import tensorflow as tf

# A band matrix is mostly zeros: multiplying in blocks of this many rows is a quarter of the work.
_BLOCK = 32


def to_lines(images: tf.Tensor) -> tf.Tensor:
    """Rearranges `[batch, H, W, C]` to `[batch, H, C, W]`."""
    return tf.transpose(images, [0, 1, 3, 2])


def from_lines(lines: tf.Tensor) -> tf.Tensor:
    """Rearranges `[batch, H, C, W]` to `[batch, H, W, C]`."""
    return tf.transpose(lines, [0, 1, 3, 2])


def crop_by_matrices(lines: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Makes several crops of each image: mixes its rows, then its columns, by matrices.

    Args:
      lines: float32 `[batch, H, C, W]`.
      rows: float32 `[batch, crops, out_H, H]`, the weight of each input row in each output row.
      columns: float32 `[batch, crops, out_W, W]`, the same for columns.

    Returns:
      float32 `[batch * crops, out_H, C, out_W]`.
    """
    crops, out_height, out_width = rows.shape[1], rows.shape[2], columns.shape[2]
    channels, shape = lines.shape[2], tf.shape(lines)
    height, width = shape[1], shape[3]
    lines = tf.reshape(lines, [-1, height, channels * width])
    lines = tf.linalg.matmul(tf.reshape(rows, [-1, crops * out_height, height]), lines)
    lines = tf.reshape(lines, [-1, out_height * channels, width])
    columns = tf.reshape(columns, [-1, out_width, width])
    lines = tf.linalg.matmul(lines, columns, transpose_b=True)
    return tf.reshape(lines, [-1, out_height, channels, out_width])


def mix_within_band(
    lines: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, radius: int | tf.Tensor
) -> tf.Tensor:
    """Mixes each image's rows, then its columns, by matrices that are zero far off the diagonal.

    Args:
      lines: float32 `[batch, H, C, W]`.
      rows: float32 `[batch, H, H]`.
      columns: float32 `[batch, W, W]`.
      radius: how far off the diagonal the last non-zero weights lie.

    Returns:
      float32 `[batch, H, C, W]`.
    """
    shape, channels = tf.shape(lines), lines.shape[2]
    height, width = shape[1], shape[3]
    flat = tf.reshape(lines, [-1, height, channels * width])
    flat = tf.concat(
        [
            tf.linalg.matmul(rows[:, made, read], flat[:, read])
            for made, read in _blocks(lines.shape[1], radius)
        ],
        axis=1,
    )
    flat = tf.reshape(flat, [-1, height * channels, width])
    flat = tf.concat(
        [
            tf.linalg.matmul(flat[:, :, read], columns[:, made, read], transpose_b=True)
            for made, read in _blocks(lines.shape[3], radius)
        ],
        axis=2,
    )
    return tf.reshape(flat, shape)


def _blocks(length: int | None, radius: int | tf.Tensor) -> list[tuple[slice, slice]]:
    """Returns what to make and what to read for it; all at once if the length is not known."""
    if length is None or not isinstance(radius, int):
        return [(slice(None), slice(None))]
    return [
        (slice(i, min(i + _BLOCK, length)), slice(max(i - radius, 0), i + _BLOCK + radius))
        for i in range(0, length, _BLOCK)
    ]
