"""From the bytes of a picture file to RGB: the same operations in training and in the server.

`decode_picture` is TensorFlow operations on one picture, which stay in the SavedModel.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from simclr_tf import pictures
from simclr_tf.data.picture_traits import PLAIN, find_traits, is_plain
from simclr_tf.data.preprocessing import to_rgb
from simclr_tf.pictures import JPEG
from simclr_tf.pixel_rule import PixelRule

# Orientations that are upside down, and mirrored left to right, once they have been transposed.
_MIRRORED = ((3, 4, 7, 8), (2, 3, 6, 7))

_SAMPLED_PIXELS = 2**16  # of a picture, about


class Decodable(NamedTuple):
    """A picture file, and what decoding it takes.

    Attributes:
      contents: JPEG or PNG.
      traits: int32 [3]: its orientation (1 to 8), whether it has 16 bits, whether it has alpha.
    """

    contents: bytes
    traits: np.ndarray


def to_decodable(data: bytes) -> Decodable:
    """Looks through a picture file, for a pipeline that decodes it in every epoch.

    JPEG and PNG are left as they are; others become PNG.

    Args:
      data: a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM file.

    Raises:
      BadPictureError: if it is not such a file, not whole, or too large; see `pictures`.
    """
    contents = _to_jpeg_or_png(data)
    if is_plain(contents):
        return Decodable(contents, PLAIN)
    with tf.device("CPU"):  # not on an accelerator, which is busy
        return Decodable(contents, find_traits(tf.constant(contents)).numpy())


def sample_16_bit(data: bytes) -> np.ndarray:
    """Returns values of a picture file of 16 bits, uint16 [n].

    Raises:
      BadPictureError: it cannot be read.
    """
    pixels = tf.io.decode_png(_to_jpeg_or_png(data), channels=4, dtype=tf.uint16)
    return visible_values(pixels.numpy())


def visible_values(pixels: np.ndarray) -> np.ndarray:
    """Returns colors of pixels on a grid, [n], but for those of which alpha leaves nothing.

    Args:
      pixels: uint16 [height, width, channels], of 1, 3 or 4 channels.
    """
    height, width, channels = pixels.shape
    step = max(1, int((height * width / _SAMPLED_PIXELS) ** 0.5))
    pixels = pixels[::step, ::step].reshape(-1, channels)
    if channels == 4:
        pixels = pixels[pixels[:, 3] > 0, :3]
    return pixels.ravel()


def _to_jpeg_or_png(data: bytes) -> bytes:
    """Returns a picture file as one that TensorFlow decodes."""
    image = pictures.open_picture(io.BytesIO(data))
    if pictures.is_jpeg_or_png(data) and _tensorflow_decodes(data):
        return data
    return pictures.to_png(image)


def _tensorflow_decodes(data: bytes) -> bool:
    """Tries it: what a pipeline's own decoder refuses would end the run.

    Damage can be anywhere in a file. An eighth of a JPEG's size reads all of it and computes
    little.
    """
    try:
        if data.startswith(JPEG):
            tf.io.decode_jpeg(data, channels=3, ratio=8)
        else:
            tf.io.decode_png(data)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def decode_picture(contents: tf.Tensor, rule: PixelRule) -> tf.Tensor:
    """Decodes a JPEG or PNG file.

    Gray and palettes become RGB, CMYK is converted, an animation is its first frame, and EXIF data
    before the pixels turn it upright. `rule` says what becomes of alpha and 16 bits.

    Args:
      contents: string scalar.
      rule: how pixels become RGB of eight bits.

    Returns:
      uint8 [height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: when run: for other files and damaged ones.
    """
    return decode_known(contents, find_traits(contents), rule)


@tf.function(autograph=False)  # traced once a process, not in each pipeline
def decode_known(contents: tf.Tensor, traits: tf.Tensor, rule: PixelRule) -> tf.Tensor:
    """Decodes a JPEG or PNG file as `decode_picture` does, once it has been looked through.

    To look takes a graph half as long as to decode a photograph.

    Args:
      contents: string scalar.
      traits: of a `Decodable`, int32 [3].
      rule: how pixels become RGB of eight bits.

    Returns:
      uint8 [height, width, 3].
    """
    orientation, is_deep, has_alpha = tf.unstack(tf.ensure_shape(traits, PLAIN.shape))

    def decode_as(channels: int, dtype: tf.DType) -> Callable[[], tf.Tensor]:
        # For all its name, it decodes JPEG as `decode_jpeg` does.
        return lambda: to_rgb(tf.io.decode_png(contents, channels, dtype), rule)

    kinds = [decode_as(c, dtype) for dtype in (tf.uint8, tf.uint16) for c in (3, 4)]
    seen = has_alpha if rule.alpha_background else 0
    return _turn_upright(tf.switch_case(2 * is_deep + seen, kinds), orientation)


def _turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undoes an EXIF orientation: transposed from 5 on, then mirrored."""

    def turn() -> tf.Tensor:
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        # `tf.reverse` takes a tenth of the time of a slice with a step of -1.
        mirrored = [tf.reduce_any(tf.equal(orientation, numbers)) for numbers in _MIRRORED]
        return tf.raw_ops.Reverse(tensor=turned, dims=tf.stack([*mirrored, tf.constant(False)]))

    return tf.ensure_shape(tf.cond(orientation > 1, turn, lambda: image), [None, None, 3])
