"""Pictures decoded in the graph against what evaluation makes of the same files."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from simclr_tf.data import pictures
from simclr_tf.serving.decoding import decode_picture
from tests.serving.conftest import encode

pytestmark = pytest.mark.smoke
rng = np.random.default_rng(0)
NOISE = rng.integers(0, 256, (20, 33, 4), np.uint8)
DEEP = rng.integers(0, 65536, (20, 33, 4), np.uint16)
RGB, GRAY = NOISE[..., :3], NOISE[..., 0]
ROWS, COLUMNS = np.mgrid[:20, :33]
SLOPE = np.stack([ROWS * 9, COLUMNS * 5, ROWS * 0 + 100], axis=-1).astype(np.uint8)


def decode(content: bytes, index: int = 0) -> np.ndarray:
    return _decode(tf.constant(content), tf.constant(index)).numpy()


_decode = tf.function(
    decode_picture,
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)],
    autograph=False,
)


def png(pixels: np.ndarray) -> bytes:
    return tf.io.encode_png(pixels).numpy()


def converted(mode: str, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(RGB).convert(mode).save(file, kind, **options)
    return file.getvalue()


EXACT = {
    "jpeg": encode(SLOPE, "JPEG", quality=90),
    "jpeg, progressive": encode(SLOPE, "JPEG", progressive=True),
    "jpeg, gray": encode(GRAY, "JPEG"),
    "png": encode(RGB, "PNG"),
    "png, gray": encode(GRAY, "PNG"),
    "png, alpha": encode(NOISE, "PNG"),
    "png, gray and alpha": png(NOISE[..., [0, 3]]),
    "png, 16 bits": png(DEEP[..., :3]),
    "png, 16 bits, alpha": png(DEEP),
    "png, 16 bits, gray": png(DEEP[..., :1]),
    "png, palette": converted("P", "PNG"),
    "png, one bit": converted("1", "PNG"),
    "bmp": encode(RGB, "BMP"),
    "bmp, gray": encode(GRAY, "BMP"),
    "bmp, palette": converted("P", "BMP"),
    "bmp, alpha": encode(NOISE, "BMP"),
    "gif": encode(GRAY, "GIF"),
    "gif, palette": converted("P", "GIF"),
    "gif, frames": encode(GRAY, "GIF", save_all=True, append_images=[Image.fromarray(GRAY[::-1])]),
}


@pytest.mark.parametrize("kind", EXACT)
def test_pixels_equal_those_of_evaluation_bit_for_bit(kind) -> None:
    content = EXACT[kind]
    usable = pictures.to_decodable(content)
    expected = tf.io.decode_image(usable, channels=3, expand_animations=False)
    np.testing.assert_array_equal(decode(content), expected)
    assert expected.shape == [20, 33, 3]
    assert np.ptp(expected) > 100


def test_cmyk_is_nearly_that_of_evaluation() -> None:
    file = io.BytesIO()
    Image.fromarray(SLOPE).convert("CMYK").save(file, "JPEG", quality=95)
    pixels = decode(file.getvalue()).astype(int)
    assert np.abs(pixels - SLOPE).max() <= 4


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("orientation", range(10))
def test_jpeg_files_are_turned_upright(orientation, endian) -> None:
    exif = Image.Exif()
    exif.endian = endian
    exif.update({0x010F: "a camera", 0x0112: orientation, 0x0131: "software"})
    content = encode(SLOPE, "JPEG", quality=95, exif=exif.tobytes())
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    pixels = decode(content).astype(int)
    assert pixels.shape == (expected.height, expected.width, 3)
    # Pillow's JPEG decoder differs from TensorFlow's by a few units.
    assert np.abs(pixels - np.asarray(expected)).max() <= 5


def test_exif_data_without_an_orientation_turn_nothing() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    plain = decode(encode(SLOPE, "JPEG"))
    np.testing.assert_array_equal(decode(encode(SLOPE, "JPEG", exif=exif.tobytes())), plain)
    content = encode(SLOPE, "JPEG", exif=exif.tobytes())
    for cut in (b"MM", b"II"):  # a directory far outside of the file
        broken = content.replace(b"MM\0*\0\0\0\x08", cut + b"\0*\x7f\xff\xff\xff")
        assert broken != content
        np.testing.assert_array_equal(decode(broken), plain)


@pytest.mark.parametrize("content", [b"", b"x", b"no picture", encode(RGB, "WEBP"), b"\0" * 99])
def test_what_is_no_picture_is_refused_by_its_number(content) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image 5 of the request is not a"):
        decode(content, index=5)


@pytest.mark.parametrize("kind", EXACT)
def test_files_cut_short_are_refused_or_decoded(kind) -> None:
    content = EXACT[kind]
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(content[:30])
    for length in range(40, len(content) - 1, len(content) // 7):
        # A JPEG decoder may make do with some of the data; a crash would end the tests.
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert decode(content[:length]).shape == (20, 33, 3)


@pytest.mark.parametrize(("position", "value"), [(10, 2**30), (14, 2**30), (10, 20), (14, -99)])
def test_a_palette_that_is_not_there_is_a_message_without_the_file(position, value) -> None:
    content = bytearray(EXACT["bmp, palette"])
    content[position : position + 4] = value.to_bytes(4, "little", signed=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image 3 .* BMP file cut short"):
        decode(bytes(content), index=3)


def _claiming(kind: str, width: int, height: int) -> bytes:
    """A file whose header claims another size."""
    sizes = {"PNG": (16, "big", 4), "GIF": (6, "little", 2), "BMP": (18, "little", 4)}
    if kind == "JPEG":
        content = bytearray(EXACT["jpeg"])
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        return bytes(content)
    start, order, size = sizes[kind]
    content = bytearray(encode(RGB, kind))
    content[start : start + 2 * size] = width.to_bytes(size, order) + height.to_bytes(size, order)
    return bytes(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_headers_that_claim_too_much_are_refused_before_decoding(kind) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="image 2 .* more than 89,478,485 pix"):
        decode(_claiming(kind, 30_000, 30_000), index=2)
