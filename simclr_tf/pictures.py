"""Picture files as people have them: what may be read, and as PNG what is neither JPEG nor PNG.

No TensorFlow here: the client of a server uses it, too.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

# Others, such as EPS, would run programs of their own.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

# Pillow's bound for what may be a decompression bomb: 268 MB as RGB.
MAX_PIXELS = 89_478_485
# Pillow warns of many pixels, which `open_picture` refuses, and of damage beside the pixels, as in
# EXIF data, which changes nothing here. A thousand such files would be a thousand lines.
warnings.filterwarnings("ignore", module="PIL")

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels


class BadPictureError(Exception):
    """A file that is no picture. Its message is the reason, on one line."""


def is_jpeg_or_png(data: bytes) -> bool:
    """Says whether a file begins as JPEG or PNG."""
    return data.startswith((JPEG, PNG))


def open_picture(file: BinaryIO) -> Image.Image:
    """Reads the header of a picture file, and no pixels.

    Raises:
      BadPictureError: it is none, or of more than `MAX_PIXELS`.
    """
    with _naming_the_reason():
        if not file.read(1):
            raise BadPictureError("empty file")
        image: Image.Image = Image.open(file, formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return image


def is_deep(image: Image.Image) -> bool:
    """Says whether a picture that was opened, and not loaded, has 16 bits a channel."""
    if image.mode.startswith("I;16"):
        return True
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) == 16
    tiles = getattr(image, "tile", ())
    arguments = tiles[0].args if tiles else ""
    if image.format == "PPM" and isinstance(arguments, tuple):
        return image.mode != "F" and arguments[1] > 255  # the largest value that it may hold
    return ";16" in str(arguments)


def to_png(image: Image.Image) -> bytes:
    """Returns a picture that was opened as PNG, which is not compressed.

    Of several frames, the first, upright as its EXIF data say. Gray of 16 bits stays so, and so
    does alpha. CMYK, palettes and what else there is become RGB.

    Raises:
      BadPictureError: it is not whole, or Pillow reads less of its bits than there are.
    """
    with _naming_the_reason():
        if is_deep(image) and not image.mode.startswith("I"):
            raise BadPictureError("colors of 16 bits, which are read from PNG only; convert it")
        if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
            raise BadPictureError("neither 8 nor 16 bits without a sign; convert it")
        image.load()
        return write_png(_to_array(ImageOps.exif_transpose(image)))


def write_png(pixels: np.ndarray) -> bytes:
    """Returns uint8 or uint16 [height, width, channels] as PNG that is not compressed.

    Channels may be 1 (gray), 2 (and alpha), 3 (RGB) or 4 (and alpha). Pillow's own writer looks for
    the best filter of each row, which takes twenty times as long.
    """
    height, width, channels = pixels.shape
    depth = 8 * pixels.itemsize
    content = pixels.astype(f">u{pixels.itemsize}").tobytes()
    rows = np.frombuffer(content, np.uint8).reshape(height, -1)
    filtered = np.pad(rows, ((0, 0), (1, 0)))  # a 0 before each row: no filter
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOR_TYPES[channels], 0, 0, 0)
    return PNG + b"".join(
        _chunk(kind, content)
        for kind, content in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(filtered.tobytes(), 0)),
            (b"IEND", b""),
        )
    )


def _to_array(image: Image.Image) -> np.ndarray:
    """Returns uint8 or uint16 [height, width, channels], of 1, 3 or 4 channels."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)[..., np.newaxis]
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    if image.mode == "L":
        return np.asarray(image)[..., np.newaxis]
    return np.asarray(image.convert("RGB"))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


@contextlib.contextmanager
def _naming_the_reason() -> Iterator[None]:
    """Raises BadPictureError for whatever goes wrong."""
    try:
        yield
    except BadPictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # -W error raises it
        raise BadPictureError(f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise BadPictureError(
            "not a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM picture, or of a rare kind"
        ) from None
    except Exception as error:  # Decoders raise whatever broken data lead them to.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadPictureError(reason) from error


# Stands for an image that cannot be read.
BLACK = write_png(np.zeros((1, 1, 3), np.uint8))
