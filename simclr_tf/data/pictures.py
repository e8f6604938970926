"""Picture files as people have them, turned into bytes that TensorFlow decodes the right way up."""

from __future__ import annotations

import io
import warnings

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Others, such as EPS, would run programs of their own.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_JPEG = ("JPEG", "MPO")  # MPO: what some cameras write, a JPEG with further pictures behind it

# Pillow's bound for what may be a decompression bomb: 268 MB as RGB.
MAX_PIXELS = 89_478_485
# Pillow warns of many pixels, which `to_decodable` refuses, and of damage beside the pixels, as in
# EXIF data, which changes nothing here. A thousand such files would be a thousand lines.
warnings.filterwarnings("ignore", module=r"PIL\.")

_TURNED = range(2, 9)  # EXIF orientations that are not upright


class BadPictureError(Exception):
    """A file that is no picture. Its message is the reason, on one line."""


def to_decodable(data: bytes) -> bytes:
    """Returns the picture in a form that `tf.io.decode_image(channels=3)` decodes.

    A plain JPEG file, upright and in RGB or gray, is returned as it is. Anything else is decoded
    here, all of it, and becomes an uncompressed BMP of eight bits: the first frame, turned upright
    as its EXIF data say, CMYK converted, alpha dropped, not blended, and of 16 bits the upper 8.

    Args:
      data: a JPEG, PNG, WebP, BMP or GIF file.

    Raises:
      BadPictureError: if it is not such a file, not whole, or of more than `MAX_PIXELS`.
    """
    if not data:
        raise BadPictureError("empty file")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)  # reads the header only
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if _is_plain_jpeg(image, data):
            return data
        image.load()
        if image.getexif().get(ExifTags.Base.Orientation) in _TURNED:
            image = ImageOps.exif_transpose(image)
        return _to_bmp(_to_rgb(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # -W error raises it
        raise BadPictureError(f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise BadPictureError("not a JPEG, PNG, WebP, BMP or GIF picture") from None
    except Exception as error:  # Decoders raise whatever broken data lead them to.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadPictureError(reason) from error


def _is_plain_jpeg(image: Image.Image, data: bytes) -> bool:
    """Whether TensorFlow decodes the file, and to what it should."""
    return (
        image.format in _JPEG
        and image.mode in ("RGB", "L")
        and image.getexif().get(ExifTags.Base.Orientation) not in _TURNED
        and _tensorflow_decodes(data)
    )


def _tensorflow_decodes(data: bytes) -> bool:
    """Tries an eighth of the size, which reads all of the file and computes little.

    What a pipeline's own decoder refuses would end the run, and damage can be anywhere in a file.
    """
    try:
        tf.io.decode_jpeg(data, channels=3, ratio=8)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # gray of 16 bits
        upper = np.clip(np.asarray(image), 0, 65535) >> 8
        image = Image.fromarray(upper.astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_bmp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "BMP")
    return file.getvalue()


# Stands for an image that cannot be read.
BLACK = _to_bmp(Image.new("RGB", (1, 1)))
