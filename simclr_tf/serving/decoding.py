"""What a server looks at before it decodes a stranger's file."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.data.picture_traits import are_at, bytes_at, number_at
from simclr_tf.pictures import JPEG, MAX_PIXELS, PNG


def check_picture(contents: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns a file for `decode_picture`, if it is JPEG or PNG and of a size to be decoded.

    Args:
      contents: string scalar.
      index: int32 scalar, the picture's place in the request, for messages.

    Raises:
      tf.errors.InvalidArgumentError: when run: it is another file, or its header says that it has
        more than `MAX_PIXELS`: whoever can send files must not fill the memory.
    """
    head = bytes_at(contents, 0, 24)
    is_jpeg = are_at(head, 0, JPEG)
    name = tf.strings.join(["image ", tf.strings.as_string(index), " of the request"])
    is_known = is_jpeg | are_at(head, 0, PNG)
    contents = _require(is_known, contents, name, "is neither JPEG nor PNG; convert it to PNG")
    height, width = tf.cond(
        is_jpeg,
        lambda: tuple(tf.unstack(tf.image.extract_jpeg_shape(contents)[:2])),
        lambda: (number_at(head, 20, 4), number_at(head, 16, 4)),
    )
    fits = tf.cast(height, tf.float64) * tf.cast(width, tf.float64) <= MAX_PIXELS
    is_number = (height >= 0) & (width >= 0)  # of 31 bits
    return _require(fits & is_number, contents, name, f"has more than {MAX_PIXELS:,} pixels")


def _require(holds: tf.Tensor, contents: tf.Tensor, name: tf.Tensor, problem: str) -> tf.Tensor:
    """Returns `contents`, which can be read only if `holds` is true."""
    check = tf.debugging.Assert(holds, [tf.strings.join([name, problem], " ")])
    with tf.control_dependencies([check]):
        return tf.identity(contents)
