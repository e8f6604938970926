"""Pictures of every kind against what was drawn; bad ones are refused with a reason."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import data
from simclr_tf.data import pictures

rng = np.random.default_rng(0)
HEIGHT, WIDTH = 20, 33
NOISE = rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
DEEP = rng.integers(0, 65536, (HEIGHT, WIDTH, 4), np.uint16)
# Smooth, so that JPEG keeps it; no row or column equals another.
SLOPE = np.stack(np.broadcast_arrays(
    np.arange(HEIGHT)[:, None] * 9, np.arange(WIDTH)[None] * 5, 100), axis=-1
).astype(np.uint8)  # fmt: skip


def encode(pixels: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """PNG of 8 or 16 bits, written by TensorFlow."""
    return tf.io.encode_png(pixels).numpy()


def decode(content: bytes) -> np.ndarray:
    usable = pictures.to_decodable(content)
    return tf.io.decode_image(usable, channels=3, expand_animations=False).numpy()


RGB, GRAY = NOISE[..., :3], NOISE[..., 0]
FEW = GRAY // 16 * 16  # fits into a palette
GIF_FRAMES = [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1])]
LOSSLESS = {
    "png": (encode(RGB, "PNG"), RGB),
    "png, gray": (encode(GRAY, "PNG"), GRAY),
    "png, alpha": (encode(NOISE, "PNG"), RGB),
    "png, gray and alpha": (png(NOISE[..., [0, 3]]), GRAY),
    "png, 16 bits": (png(DEEP[..., :3]), DEEP[..., :3] >> 8),
    "png, 16 bits, alpha": (png(DEEP), DEEP[..., :3] >> 8),
    "png, 16 bits, gray": (png(DEEP[..., :1]), DEEP[..., 0] >> 8),
    "png, 16 bits, gray and alpha": (png(DEEP[..., [0, 3]]), DEEP[..., 0] >> 8),
    "png, palette": (encode(FEW, "PNG", "P"), FEW),
    "png, palette and alpha": (encode(FEW, "PNG", "P", transparency=3), FEW),
    "png, one bit": (encode(GRAY // 128 * 255, "PNG", "1"), GRAY // 128 * 255),
    "webp": (encode(RGB, "WEBP", lossless=True), RGB),
    "webp, alpha": (encode(NOISE, "WEBP", lossless=True, exact=True), RGB),
    "webp, frames": (
        encode(RGB, "WEBP", lossless=True, save_all=True,
               append_images=[Image.fromarray(RGB[::-1])]), RGB),
    "bmp": (encode(RGB, "BMP"), RGB),
    "bmp, gray": (encode(GRAY, "BMP"), GRAY),
    "gif": (encode(GRAY, "GIF"), GRAY),
    "gif, frames": (encode(GRAY, "GIF", save_all=True, append_images=GIF_FRAMES[1:]), GRAY),
    "png, black": (encode(RGB * 0, "PNG"), RGB * 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_pictures_are_exact(kind):
    content, expected = LOSSLESS[kind]
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=-1)
    np.testing.assert_array_equal(decode(content), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("pixels", [NOISE, DEEP], ids=["8 bits", "16 bits"])
def test_as_data_sets_of_tfds_are_turned_into_rgb(channels, pixels):
    """The same picture is the same in a folder and in TFDS, which knows no gray with alpha."""
    content = png(pixels[..., :channels])
    plain = tf.io.decode_png(content, dtype=pixels.dtype)
    expected = data.to_rgb(plain if channels != 2 else plain[..., :1])
    np.testing.assert_array_equal(decode(content), expected)


JPEGS = {
    "rgb": {},
    "progressive": {"progressive": True},
    "gray": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg(kind):
    pixels = np.repeat(SLOPE[..., :1], 3, axis=-1) if kind == "gray" else SLOPE
    content = encode(pixels, "JPEG", quality=98, subsampling=0, **JPEGS[kind])
    np.testing.assert_allclose(decode(content), pixels.astype(float), atol=8)
    assert (pictures.to_decodable(content) is content) == (kind != "cmyk")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation(kind, orientation):
    """What each number says about the stored rows and columns, from the EXIF 2.3 standard."""
    stored = {
        2: SLOPE[:, ::-1],
        3: SLOPE[::-1, ::-1],
        4: SLOPE[::-1],
        5: SLOPE.transpose(1, 0, 2),
        6: np.rot90(SLOPE),
        7: SLOPE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(SLOPE, -1),
    }.get(orientation, SLOPE)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 98, "subsampling": 0}
    content = encode(np.ascontiguousarray(stored), kind, exif=exif, **options)
    shown = decode(content)
    assert shown.shape == SLOPE.shape
    np.testing.assert_allclose(shown, SLOPE.astype(float), atol=8)
    if kind == "JPEG":
        assert (pictures.to_decodable(content) is content) == (orientation in (0, 1, 9))


def test_jpeg_with_a_tail_and_further_pictures():
    content = encode(SLOPE, "JPEG", quality=98)
    assert pictures.to_decodable(content + b"\0" * 9000) == content + b"\0" * 9000
    frames = [Image.fromarray(SLOPE[::-1].copy())]
    several = encode(SLOPE, "MPO", quality=98, subsampling=0, save_all=True, append_images=frames)
    np.testing.assert_allclose(decode(several), SLOPE.astype(float), atol=8)


def make_bomb() -> bytes:
    """A PNG whose header promises a picture of 20,000 by 5,000 pixels."""
    content = bytearray(encode(NOISE, "PNG"))
    content[16:24] = (20_000).to_bytes(4, "big") + (5_000).to_bytes(4, "big")
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


BAD = {
    "empty": (b"", "empty file"),
    "text": (b"path,label\n" * 20, "not a JPEG, PNG, WebP, BMP or GIF picture"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
    "bomb": (make_bomb(), "more than 89,478,485 pixels"),
    "bomb, huge": (make_bomb().replace(b"\0\0\x13\x88", b"\0\xff\x13\x88", 1), ""),
    **{
        f"{kind}, {share} of it": (content[: int(len(content) * share)], "")
        for kind, content in {
            "jpeg": encode(SLOPE, "JPEG", quality=98),
            "jpeg, gray": encode(SLOPE[..., 0], "JPEG", quality=98),
            **{name: LOSSLESS[name][0] for name in ("png", "webp", "bmp", "gif")},
        }.items()
        for share in (0.1, 0.5, 0.9)
    },
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_have_a_reason(kind):
    content, reason = BAD[kind]
    with pytest.raises(pictures.BadPictureError) as caught:
        pictures.to_decodable(content)
    message = str(caught.value)
    assert message.strip()
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_damage_anywhere_is_refused_or_decodable(options):
    """A JPEG file whose header and end are whole must not end a run."""
    content = encode(SLOPE, "JPEG", quality=98, **options)
    random = np.random.default_rng(1)
    for start in range(2, len(content) - 30, 7):
        damaged = bytearray(content)
        damaged[start : start + 5] = random.bytes(5) if start % 2 else b"\xff" * 5
        try:
            decode(bytes(damaged))
        except pictures.BadPictureError:
            continue
