"""Linear image operations that treat rows and columns apart: resizing, cropping, blurring."""

from __future__ import annotations

import tensorflow as tf

# A product with a whole band matrix is mostly zeros; in blocks of so many rows it is 4 times less.
_BLOCK = 32


def crop_by_matrices(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Makes several crops of each image: mixes its rows, then its columns, by matrices.

    Args:
        images: `[batch, H, W, C]` of any numeric type.
        rows: float32 `[batch, crops, out_H, H]`, the weight of each input row in each output row.
        columns: float32 `[batch, crops, out_W, W]`, the same for columns.

    Returns:
        Planes, float32 `[batch * crops, C, out_H, out_W]`.
    """
    crops, out_height, out_width = rows.shape[1], rows.shape[2], columns.shape[2]
    shape, channels = tf.shape(images), images.shape[3]
    height, width = shape[1], shape[2]
    # One product for all crops and channels: small ones cost more to start than to compute.
    lines = tf.reshape(tf.cast(images, tf.float32), [-1, height, width * channels])
    lines = tf.linalg.matmul(tf.reshape(rows, [-1, crops * out_height, height]), lines)
    lines = tf.reshape(lines, [-1, out_height, width, channels])
    planes = tf.reshape(tf.transpose(lines, [0, 3, 1, 2]), [-1, channels * out_height, width])
    columns = tf.reshape(columns, [-1, out_width, width])
    planes = tf.linalg.matmul(planes, columns, transpose_b=True)
    return tf.reshape(planes, [-1, channels, out_height, out_width])


def mix_within_band(
    planes: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, radius: int | tf.Tensor
) -> tf.Tensor:
    """Mixes each image's rows, then its columns, by matrices that are zero far off the diagonal.

    Args:
        planes: float32 `[batch, C, H, W]`.
        rows: float32 `[batch, H, H]`.
        columns: float32 `[batch, W, W]`.
        radius: how far off the diagonal the last non-zero weights lie.

    Returns:
        float32 `[batch, C, H, W]`.
    """
    rows, columns = rows[:, tf.newaxis], columns[:, tf.newaxis]
    planes = tf.concat(
        [
            tf.linalg.matmul(rows[:, :, made, read], planes[:, :, read])
            for made, read in _blocks(planes.shape[2], radius)
        ],
        axis=2,
    )
    return tf.concat(
        [
            tf.linalg.matmul(planes[..., read], columns[:, :, made, read], transpose_b=True)
            for made, read in _blocks(planes.shape[3], radius)
        ],
        axis=3,
    )


def _blocks(length: int | None, radius: int | tf.Tensor) -> list[tuple[slice, slice]]:
    """Returns what to make and what to read for it; all at once if the length is not known."""
    if length is None or not isinstance(radius, int):
        return [(slice(None), slice(None))]
    starts = range(0, length, _BLOCK)
    return [
        (slice(i, min(i + _BLOCK, length)), slice(max(i - radius, 0), i + _BLOCK + radius))
        for i in starts
    ]
