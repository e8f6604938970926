"""Linear image operations that treat rows and columns apart: resizing, cropping, blurring."""

from __future__ import annotations

import tensorflow as tf


def apply_rows_and_columns(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Mixes each image's rows, then its columns, by matrices of its own.

    Args:
        images: float32 `[batch, H, W, C]`.
        rows: float32 `[batch, out_H, H]`, the weight of each input row in each output row.
        columns: float32 `[batch, out_W, W]`, the same for columns.

    Returns:
        float32 `[batch, out_H, out_W, C]`.
    """
    # Plain matrix products on channels-first images need fewer transpositions than an einsum.
    planes = tf.transpose(images, [0, 3, 1, 2])
    planes = tf.linalg.matmul(planes, columns[:, tf.newaxis], transpose_b=True)
    planes = tf.linalg.matmul(rows[:, tf.newaxis], planes)
    return tf.transpose(planes, [0, 2, 3, 1])
