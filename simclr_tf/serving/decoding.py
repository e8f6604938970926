"""From the bytes of a picture file to pixels, in a graph: what a server runs before the network.

Everything here is TensorFlow operations on one picture, which stay in the SavedModel. A picture
that is refused fails the request with a message; the server goes on.
"""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.data.pictures import MAX_PIXELS

_HEADER = 32  # bytes, enough for the sizes in PNG, GIF and BMP headers
_EXIF_WITHIN = 16_384  # bytes; cameras write orientation within the first hundred


def decode_picture(contents: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF file as evaluation does.

    Gray and palettes become RGB, CMYK is converted, 16 bits become the upper 8, alpha is dropped,
    an animation is its first frame, and a JPEG file is turned upright as its EXIF data say.

    Args:
      contents: string scalar.
      index: int32 scalar, the picture's place in the request, for messages.

    Returns:
      uint8 [height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: when run, for anything else, what is damaged, and pictures of
        more than `MAX_PIXELS` by their header: whoever can send files must not fill the memory.
    """
    head = tf.strings.join([tf.strings.substr(contents, 0, _HEADER), b"\0" * _HEADER])
    is_jpeg = _starts_with(head, b"\xff\xd8\xff")
    is_bmp = _starts_with(head, b"BM")
    is_gif = _starts_with(head, b"GIF8")
    known = is_jpeg | is_bmp | is_gif | _starts_with(head, b"\x89PNG\r\n\x1a\n")
    where = tf.strings.join(["image ", tf.strings.as_string(index)])
    contents = _require(known, contents, where, "is not a JPEG, PNG, BMP or GIF file")
    size = tf.case(
        [
            (is_jpeg, lambda: tf.cast(tf.image.extract_jpeg_shape(contents)[:2], tf.int64)),
            (is_bmp, lambda: _integers(head, 18, 2, tf.int32)),
            (is_gif, lambda: _integers(head, 6, 2, tf.uint16)),
        ],
        default=lambda: _integers(head, 16, 2, tf.int32, little_endian=False),
    )
    # An upside-down BMP has a negative height.
    fits = tf.reduce_prod(tf.abs(tf.cast(size, tf.float64))) <= MAX_PIXELS
    contents = _require(fits, contents, where, f"has more than {MAX_PIXELS:,} pixels")
    return tf.cond(
        is_bmp & tf.equal(_integers(head, 28, 1, tf.uint16)[0], 8),
        lambda: _decode_palette_bmp(contents, head, where),
        lambda: _turn_upright(
            tf.io.decode_image(contents, channels=3, expand_animations=False),
            tf.cond(is_jpeg, lambda: _exif_orientation(contents), lambda: 1),
        ),
    )


def _require(holds: tf.Tensor, contents: tf.Tensor, where: tf.Tensor, problem: str) -> tf.Tensor:
    """Returns `contents`, which whoever reads it gets only if `holds`."""
    check = tf.debugging.Assert(holds, [where + f" of the request {problem}"])
    with tf.control_dependencies([check]):
        return tf.identity(contents)


def _length(contents: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(contents), tf.int64)


def _starts_with(head: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(head, 0, len(magic)), magic)


def _integers(
    head: tf.Tensor, position: int, count: int, dtype: tf.DType, *, little_endian: bool = True
) -> tf.Tensor:
    """Reads `count` integers from bytes, int64 [count]."""
    field = tf.strings.substr(head, position, count * dtype.size)
    values = tf.io.decode_raw(field, dtype, little_endian=little_endian)
    return tf.cast(tf.ensure_shape(values, [count]), tf.int64)


def _decode_palette_bmp(contents: tf.Tensor, head: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP file of 8 bits a pixel, which TensorFlow takes for gray.

    The palette lies between the header and the pixels: rows of blue, green, red, unused.
    """
    pixels_at = _integers(head, 10, 1, tf.int32)[0]
    start = 14 + _integers(head, 14, 1, tf.int32)[0]
    # Asked for a part that is not there, substr repeats the file in its message, which then is
    # not UTF-8 and cannot be sent.
    has_palette = (start >= 0) & (start <= pixels_at) & (pixels_at <= _length(contents))
    contents = _require(has_palette, contents, where, "is a BMP file cut short or damaged")
    table = tf.strings.substr(contents, start, pixels_at - start)
    palette = tf.reshape(tf.io.decode_raw(table, tf.uint8), [-1, 4])[:, 2::-1]
    return tf.gather(palette, tf.cast(tf.io.decode_bmp(contents)[..., 0], tf.int32))


def _exif_orientation(contents: tf.Tensor) -> tf.Tensor:
    """Returns the orientation that a JPEG file's EXIF data give, int32 1 to 8; 1 without any.

    Source: EXIF 2.32, tag 0x0112 of the first directory.
    """
    data = tf.io.decode_raw(tf.strings.substr(contents, 0, _EXIF_WITHIN), tf.uint8)
    data = tf.cast(tf.pad(data, [[0, 16]]), tf.int32)
    last = tf.size(data) - 16
    # The segment: FF E1, two bytes of length, "Exif", two zeros; then the TIFF header.
    matches = tf.ones([last], tf.bool)
    for offset, byte in zip((0, 1, 4, 5, 6, 7, 8, 9), b"\xff\xe1Exif\0\0"):
        matches &= tf.equal(data[offset : offset + last], byte)
    tiff = tf.cast(tf.argmax(matches), tf.int32) + 10
    big_endian = tf.equal(data[tiff], ord("M"))

    def read(positions: tf.Tensor, width: int) -> tf.Tensor:
        """Integers of `width` bytes at `positions`, of the same shape."""
        at = tf.clip_by_value(positions, 0, last)[..., tf.newaxis] + tf.range(width)
        weights = [256**i for i in range(width)]
        return tf.reduce_sum(
            tf.gather(data, at) * tf.where(big_endian, weights[::-1], weights), axis=-1
        )

    directory = tiff + tf.clip_by_value(read(tiff + 4, 4), 0, last)
    entries = directory + 2 + 12 * tf.range(tf.minimum(read(directory, 2), 64))
    is_orientation = tf.equal(read(entries, 2), 0x0112) & tf.reduce_any(matches)
    # At most one entry has the tag; of several the largest value is as good as any.
    values = tf.where(is_orientation, read(entries + 8, 2), 1)
    return tf.reduce_max(tf.concat([[1], values], axis=0))


def _turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undoes an EXIF orientation: transposed from 5 on, then mirrored."""

    def turn() -> tf.Tensor:
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        for axis, mirrored in ((1, (2, 3, 6, 7)), (0, (3, 4, 7, 8))):
            step = tf.where(tf.reduce_any(tf.equal(orientation, mirrored)), -1, 1)
            turned = turned[:, ::step] if axis else turned[::step]
        return turned

    is_turned = (orientation >= 2) & (orientation <= 8)
    return tf.ensure_shape(tf.cond(is_turned, turn, lambda: image), [None, None, 3])
