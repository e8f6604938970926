"""From the bytes of a picture file to RGB: the same operations in training and in the server.

`decode_picture` is TensorFlow operations on one picture, which stay in the SavedModel.
"""

from __future__ import annotations

import io

import numpy as np
import tensorflow as tf

from simclr_tf import pictures
from simclr_tf.data.preprocessing import to_rgb
from simclr_tf.pictures import JPEG
from simclr_tf.pixel_rule import PixelRule

# Of segments before the pixels: more take a server's time, and no camera writes them.
_MOST_SEGMENTS = 64
_MOST_TAGS = 64  # of the first directory of EXIF data

_EXIF = b"Exif\0\0"  # the beginning of that segment of a JPEG file
_AFTER_HEADER = 33  # in a PNG file: the signature, and a chunk of 25 bytes

_SAMPLED_PIXELS = 2**16  # of a picture, about

_Loop = tuple[tf.Tensor, ...]


def to_decodable(data: bytes, rule: PixelRule) -> bytes:
    """Returns the picture in a form that `tf.io.decode_image` of 3 channels decodes to RGB.

    A plain file is returned as it is, and an input pipeline need not branch to decode it: that
    takes half as long as to decode a photograph. Others go through `decode_picture` here, and
    become PNG.

    Args:
      data: a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM file.
      rule: how pixels become RGB of eight bits.

    Raises:
      BadPictureError: if it is not such a file, not whole, or too large; see `pictures`.
    """
    data = _to_jpeg_or_png(data)
    if _is_plain(data):
        return data
    with tf.device("CPU"):  # not on an accelerator, which is busy
        return pictures.write_png(_decode(tf.constant(data), rule).numpy())


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


def _is_plain(data: bytes) -> bool:
    """Whether a JPEG or PNG file needs nothing but decoding."""
    if data.startswith(JPEG):
        return _EXIF not in data or int(_jpeg_orientation(tf.constant(data))) == 1
    depth, color_type = data[24], data[25]
    before_pixels = data[: data.find(b"IDAT")]
    special = color_type & 4 or b"tRNS" in before_pixels or b"eXIf" in before_pixels
    return depth <= 8 and not special


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
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG)), JPEG)
    pixels, orientation = tf.cond(
        is_jpeg,
        lambda: (tf.io.decode_jpeg(contents, channels=3), _jpeg_orientation(contents)),
        lambda: _decode_png(contents, rule),
    )
    return _turn_upright(pixels, orientation)


_decode = tf.function(decode_picture, autograph=False)


def _decode_png(contents: tf.Tensor, rule: PixelRule) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns RGB and the orientation."""
    has_key, exif = _png_segments(contents)
    depth, color_type = tf.unstack(bytes_at(contents, 24, 2))
    has_alpha = has_key | tf.equal(color_type & 4, 4)

    def decode(dtype: tf.DType) -> tf.Tensor:
        def decode_as(channels: int) -> tf.Tensor:
            return to_rgb(tf.io.decode_png(contents, channels, dtype), rule)

        if rule.alpha_background is None:
            return decode_as(3)
        return tf.cond(has_alpha, lambda: decode_as(4), lambda: decode_as(3))

    is_deep = tf.equal(depth, 16)
    pixels = tf.cond(is_deep, lambda: decode(tf.uint16), lambda: decode(tf.uint8))
    return pixels, _exif_orientation(contents, exif)


def bytes_at(contents: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
    """Returns bytes of a file as int32 [count], zeros beyond its end."""
    # Asked for a part that is not there, substr repeats the file in its message, which then is
    # not UTF-8 and cannot be sent.
    start = tf.minimum(position, tf.strings.length(contents))
    part = tf.strings.join([tf.strings.substr(contents, start, count), b"\0" * count])
    part = tf.io.decode_raw(tf.strings.substr(part, 0, count), tf.uint8)
    return tf.cast(tf.ensure_shape(part, [count]), tf.int32)


def are_at(data: tf.Tensor, position: int, expected: bytes) -> tf.Tensor:
    """Whether the bytes at a position are these."""
    return tf.reduce_all(tf.equal(data[position : position + len(expected)], list(expected)))


def number_at(
    data: tf.Tensor, position: int, width: int, is_little: tf.Tensor | bool = False
) -> tf.Tensor:
    """Returns the integers that end the last axis of `data` at a position, int32."""
    weights = [256**i for i in range(width)]
    weights = tf.where(is_little, weights, weights[::-1])
    # Four bytes may make a negative number, which no caller takes for one that can be.
    return tf.reduce_sum(data[..., position : position + width] * weights, axis=-1)


@tf.function(autograph=False)
def _jpeg_orientation(contents: tf.Tensor) -> tf.Tensor:
    """Returns the orientation that a JPEG file's EXIF data give, as `_exif_orientation` does.

    They are in a segment for applications, which come first: FF Ex, two bytes of length, content.
    """

    def look(position: tf.Tensor, exif: tf.Tensor, _: tf.Tensor) -> _Loop:
        data = bytes_at(contents, position, 10)
        is_application = tf.equal(data[0], 0xFF) & tf.equal(data[1] & 0xF0, 0xE0)
        is_comment = tf.equal(data[0], 0xFF) & tf.equal(data[1], 0xFE)
        found = is_application & tf.equal(data[1], 0xE1) & are_at(data, 4, _EXIF)
        exif = tf.where(found, position + 10, exif)
        return position + 2 + number_at(data, 2, 2), exif, (is_application | is_comment) & ~found

    _, exif, _ = _look_through(look, (2, 0, True))
    return _exif_orientation(contents, exif)


def _png_segments(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns whether a color is transparent, and where EXIF data begin, or 0.

    Source: Portable Network Graphics, third edition, 5.6: both chunks come before the pixels.
    """

    def look(position: tf.Tensor, exif: tf.Tensor, has_key: tf.Tensor, _: tf.Tensor) -> _Loop:
        data = bytes_at(contents, position, 8)
        exif = tf.where(are_at(data, 4, b"eXIf"), position + 8, exif)
        has_key |= are_at(data, 4, b"tRNS")
        length = number_at(data, 0, 4)
        inside = (length >= 0) & (length < tf.strings.length(contents) - position)
        more = inside & ~are_at(data, 4, b"IDAT")
        return tf.where(more, position + 12 + length, position), exif, has_key, more

    _, exif, has_key, _ = _look_through(look, (_AFTER_HEADER, 0, False, True))
    return has_key, exif


def _look_through(look: object, start: tuple) -> _Loop:
    return tf.while_loop(
        lambda *state: state[-1],
        look,
        tuple(tf.constant(value) for value in start),
        maximum_iterations=_MOST_SEGMENTS,
    )


def _exif_orientation(contents: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Returns the orientation that EXIF data give, int32 1 to 8; 1 without any.

    Args:
      contents: of the file.
      start: where the data begin; 0 for none.

    Source: EXIF 2.32, tag 0x0112 of the first directory; TIFF 6.0 for the directory.
    """

    def read() -> tf.Tensor:
        header = bytes_at(contents, start, 8)
        little = tf.equal(header[0], ord("I"))
        offset = number_at(header, 4, 4, little)
        directory = start + tf.where(offset < 0, 0, tf.minimum(offset, 2**24))
        count = number_at(bytes_at(contents, directory, 2), 0, 2, little)
        entries = tf.reshape(bytes_at(contents, directory + 2, 12 * _MOST_TAGS), [-1, 12])
        is_orientation = tf.equal(number_at(entries, 0, 2, little), 0x0112)
        is_orientation &= tf.range(_MOST_TAGS) < count
        # A number of two bytes, or, seldom, of four.
        is_long = tf.equal(number_at(entries, 2, 2, little), 4)
        values = tf.where(
            is_long, number_at(entries, 8, 4, little), number_at(entries, 8, 2, little)
        )
        # At most one entry has the tag; of several the largest value is as good as any.
        return tf.reduce_max(tf.where(is_orientation & (values <= 8), values, 1))

    return tf.cond(start > 0, read, lambda: 1)


def _turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undoes an EXIF orientation: transposed from 5 on, then mirrored."""

    def turn() -> tf.Tensor:
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        for axis, mirrored in ((1, (2, 3, 6, 7)), (0, (3, 4, 7, 8))):
            step = tf.where(tf.reduce_any(tf.equal(orientation, mirrored)), -1, 1)
            turned = turned[:, ::step] if axis else turned[::step]
        return turned

    return tf.ensure_shape(tf.cond(orientation > 1, turn, lambda: image), [None, None, 3])
