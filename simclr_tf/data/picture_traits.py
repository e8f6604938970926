"""What decoding a picture file takes beside decoding: orientation, 16 bits, alpha.

The same operations find it in the server's graph and, once a file, for input pipelines.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf.pictures import JPEG

# Of a file that needs nothing but decoding; see `Decodable`.
PLAIN = np.array([1, 0, 0], np.int32)

# Of segments before the pixels: more take a server's time, and no camera writes them.
_MOST_SEGMENTS = 64
_MOST_TAGS = 64  # of the first directory of EXIF data

_EXIF = b"Exif\0\0"  # the beginning of that segment of a JPEG file
_AFTER_HEADER = 33  # in a PNG file: the signature, and a chunk of 25 bytes

_Loop = tuple[tf.Tensor, ...]


def is_plain(data: bytes) -> bool:
    """Whether a glance at a JPEG or PNG file shows that it needs nothing but decoding."""
    if data.startswith(JPEG):
        return _EXIF not in data
    depth, color_type = data[24], data[25]
    before_pixels = data[: data.find(b"IDAT")]
    special = color_type & 4 or b"tRNS" in before_pixels or b"eXIf" in before_pixels
    return depth <= 8 and not special


@tf.function(autograph=False)
def find_traits(contents: tf.Tensor) -> tf.Tensor:
    """Returns the `Decodable.traits` of a JPEG or PNG file."""
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG)), JPEG)
    return tf.cond(
        is_jpeg,
        lambda: tf.stack([_jpeg_orientation(contents), 0, 0]),
        lambda: _png_traits(contents),
    )


def _png_traits(contents: tf.Tensor) -> tf.Tensor:
    has_key, exif = _png_segments(contents)
    depth, color_type = tf.unstack(bytes_at(contents, 24, 2))
    has_alpha = has_key | tf.equal(color_type & 4, 4)
    flags = tf.cast([tf.equal(depth, 16), has_alpha], tf.int32)
    return tf.stack([_exif_orientation(contents, exif), *tf.unstack(flags)])


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
