"""Pictures of every kind against what was drawn, by both doors; bad ones are refused."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import pictures
from simclr_tf.data.decoding import decode_known, decode_picture, to_decodable
from simclr_tf.data.preprocessing import to_rgb
from simclr_tf.pixel_rule import BEFORE, WHITE, PixelRule

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


RULE = PixelRule(alpha_background=(200, 10, 90), range_16=(103, 4012))
_SERVED = {
    rule: tf.function(lambda content, rule=rule: decode_picture(content, rule), autograph=False)
    for rule in (RULE, WHITE, BEFORE)
}


def decode_prepared(content: bytes, rule: PixelRule) -> np.ndarray:
    """Decodes as an input pipeline does."""
    contents, traits = to_decodable(content)
    return decode_known(tf.constant(contents), tf.constant(traits), rule).numpy()


def decode(content: bytes, rule: PixelRule = RULE) -> np.ndarray:
    """Decodes as an input pipeline does, and looks whether client and server give the same."""
    shown = decode_prepared(content, rule)
    sent = content
    if not pictures.is_jpeg_or_png(content):
        sent = pictures.to_png(pictures.open_picture(io.BytesIO(content)))
    np.testing.assert_array_equal(_SERVED[rule](tf.constant(sent)), shown)
    return shown


def expect(pixels: np.ndarray, rule: PixelRule = RULE) -> np.ndarray:
    """Colors, and alpha where there is, as RGB: the rule in floats."""
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    values, alpha = pixels.astype(float), np.ones(pixels.shape[:2] + (1,))
    if pixels.dtype == np.uint16:
        low, high = rule.range_16 or (0, 65535)
        values = np.floor((np.clip(values, low, high) - low) / (high - low + 1) * 256)
        alpha = np.floor(pixels[..., -1:] / 256) / 255
    elif pixels.shape[-1] in (2, 4):
        alpha = values[..., -1:] / 255
    if pixels.shape[-1] in (2, 4):
        values = values[..., :-1]
        if rule.alpha_background is not None:
            values = np.rint(values * alpha + np.array(rule.alpha_background) * (1 - alpha))
    return np.broadcast_to(values, pixels.shape[:2] + (3,)).astype(np.uint8)


RGB, GRAY = NOISE[..., :3], NOISE[..., 0]
KEY = RGB[3, 4]
FEW = GRAY // 16 * 16  # fits into a palette
COLORS = Image.fromarray(RGB).quantize(16)
GIF_FRAMES = [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1])]
KEYED = np.stack([FEW, np.where(FEW == 32, 0, 255)], axis=-1).astype(np.uint8)
PALETTE = np.asarray(COLORS.convert("RGB"))
SHADES = np.array([0, 50, 100, 200] + [255] * 12, np.uint8)
SHADED = np.dstack([PALETTE, SHADES[np.asarray(COLORS)]])


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


LOSSLESS = {
    "png": (encode(RGB, "PNG"), RGB),
    "png, gray": (encode(GRAY, "PNG"), GRAY),
    "png, alpha": (encode(NOISE, "PNG"), NOISE),
    "png, gray and alpha": (png(NOISE[..., [0, 3]]), NOISE[..., [0, 3]]),
    "png, gray, a color is transparent": (encode(FEW, "PNG", transparency=32), KEYED),
    "png, a color is transparent": (
        encode(RGB, "PNG", transparency=tuple(map(int, KEY))),
        np.dstack([RGB, np.any(RGB - KEY, axis=-1).astype(np.uint8) * 255])),
    "png, 16 bits": (png(DEEP[..., :3]), DEEP[..., :3]),
    "png, 16 bits, alpha": (png(DEEP), DEEP),
    "png, 16 bits, gray": (png(DEEP[..., :1]), DEEP[..., 0]),
    "png, 16 bits, gray and alpha": (png(DEEP[..., [0, 3]]), DEEP[..., [0, 3]]),
    "png, palette": (saved(COLORS, "PNG"), PALETTE),
    "png, palette and alpha": (saved(COLORS, "PNG", transparency=bytes(SHADES)), SHADED),
    "png, palette, a color is transparent": (
        saved(COLORS, "PNG", transparency=3),
        np.dstack([PALETTE, np.where(np.asarray(COLORS) == 3, 0, 255).astype(np.uint8)])),
    "png, one bit": (encode(GRAY // 128 * 255, "PNG", "1"), GRAY // 128 * 255),
    "webp": (encode(RGB, "WEBP", lossless=True), RGB),
    "webp, alpha": (encode(NOISE, "WEBP", lossless=True, exact=True), NOISE),
    "webp, frames": (
        encode(RGB, "WEBP", lossless=True, save_all=True,
               append_images=[Image.fromarray(RGB[::-1])]), RGB),
    "bmp": (encode(RGB, "BMP"), RGB),
    "bmp, gray": (encode(GRAY, "BMP"), GRAY),
    "bmp, palette": (saved(COLORS, "BMP"), PALETTE),
    "gif": (encode(GRAY, "GIF"), GRAY),
    "gif, a color is transparent": (encode(FEW, "GIF", transparency=32), KEYED),
    "gif, frames": (encode(GRAY, "GIF", save_all=True, append_images=GIF_FRAMES[1:]), GRAY),
    "tiff": (encode(RGB, "TIFF"), RGB),
    "tiff, compressed": (encode(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "tiff, alpha": (encode(NOISE, "TIFF"), NOISE),
    "tiff, 16 bits, gray": (encode(DEEP[..., 0], "TIFF"), DEEP[..., 0]),
    "tiff, pages": (
        encode(GRAY, "TIFF", save_all=True, append_images=GIF_FRAMES[1:]), GRAY),
    "pgm": (encode(GRAY, "PPM"), GRAY),
    "pgm, 16 bits": (encode(DEEP[..., 0], "PPM"), DEEP[..., 0]),
    "ppm": (encode(RGB, "PPM"), RGB),
    "png, black": (encode(RGB * 0, "PNG"), RGB * 0),
}  # fmt: skip


@pytest.mark.parametrize("rule", _SERVED, ids=["rule", "new", "before"])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_pictures_are_exact(kind, rule):
    content, pixels = LOSSLESS[kind]
    np.testing.assert_array_equal(decode(content, rule), expect(pixels, rule))


def test_what_runs_did_that_stored_no_rule():
    np.testing.assert_array_equal(decode(LOSSLESS["png, alpha"][0], BEFORE), RGB)
    upper = DEEP[..., :3] >> 8
    np.testing.assert_array_equal(decode(LOSSLESS["png, 16 bits, alpha"][0], BEFORE), upper)


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_of_few_bits(bits):
    """As Pillow shows it, which writes no such file."""
    values = GRAY >> (8 - bits)
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(HEIGHT, -1))
    rows = packed.reshape(HEIGHT, -1) if WIDTH * bits % 8 == 0 else np.stack(
        [np.packbits(np.unpackbits(row[:, None], axis=-1)[:, -bits:].ravel()) for row in values]
    )  # fmt: skip
    chunk = lambda kind, body: (
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
    )
    header = WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    content = pictures.PNG + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    gray = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    np.testing.assert_array_equal(decode(content), expect(gray))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("pixels", [NOISE, DEEP], ids=["8 bits", "16 bits"])
def test_as_data_sets_of_tfds_are_turned_into_rgb(channels, pixels):
    """The same picture is the same in a folder and in TFDS, which knows no gray with alpha."""
    content = png(pixels[..., :channels])
    plain = tf.io.decode_png(content, dtype=pixels.dtype, channels=4 if channels == 2 else channels)
    np.testing.assert_array_equal(decode(content), to_rgb(plain, RULE))


def test_a_16_bit_pgm_that_says_its_largest_value_fills_the_range():
    values = DEEP[..., 0] % 4096
    content = b"P5 33 20 4095\n" + values.astype(">u2").tobytes()
    filled = np.rint(values / 4095 * 65535).astype(np.uint16)
    np.testing.assert_array_equal(decode(content), expect(filled))


JPEGS = {
    "rgb": {},
    "progressive": {"progressive": True},
    "gray": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_plain_jpeg_files_are_left_as_they_are(kind):
    pixels = np.repeat(SLOPE[..., :1], 3, axis=-1) if kind == "gray" else SLOPE
    content = encode(pixels, "JPEG", quality=98, subsampling=0, **JPEGS[kind])
    np.testing.assert_allclose(decode(content), pixels.astype(float), atol=8)
    contents, traits = to_decodable(content)
    assert (contents, traits.tolist()) == (content, [1, 0, 0])


@pytest.mark.parametrize("kind", ["png", "png, gray", "png, palette", "png, one bit"])
def test_plain_png_files_are_left_as_they_are(kind):
    content = LOSSLESS[kind][0]
    contents, traits = to_decodable(content)
    assert (contents, traits.tolist()) == (content, [1, 0, 0])


def turned(orientation: int) -> np.ndarray:
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
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation(kind, orientation, endian):
    exif = Image.Exif()
    exif.endian = endian
    exif.update({0x010F: "a camera", 0x0112: orientation, 0x0131: "software"})
    if kind != "TIFF":
        exif = exif.tobytes()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 98, "subsampling": 0}
    content = encode(turned(orientation), kind, exif=exif, **({} if kind == "TIFF" else options))
    shown = decode(content)
    assert shown.shape == SLOPE.shape
    np.testing.assert_allclose(shown, SLOPE.astype(float), atol=8 if kind == "JPEG" else 0)
    if kind in ("JPEG", "PNG"):  # no bitmap is made of what has to be turned
        contents, traits = to_decodable(content)
        numbers = [min(max(orientation, 1), 9) % 9 or 1, 0, 0]
        assert (contents, traits.tolist()) == (content, numbers)


def put_before(content: bytes, exif: bytes, segments: int) -> bytes:
    """A JPEG file with EXIF data behind so many segments of 60 kB."""
    filler = b"\xff\xe2" + (60_000).to_bytes(2, "big") + b"x" * 59_998
    size = (len(exif) + 2).to_bytes(2, "big")
    return content[:2] + filler * segments + b"\xff\xe1" + size + exif + content[2:]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, which `pictures` turns off
@pytest.mark.parametrize("kind", ["far behind", "of four bytes", "of 16 bits", "far outside"])
def test_odd_exif_data(kind):
    content, expected = encode(turned(6), "JPEG", quality=98, subsampling=0), SLOPE
    directory = b"\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    if kind == "far behind":
        content = put_before(content, b"Exif\0\0MM\0*\0\0\0\x08" + directory, 3)
    elif kind == "of four bytes":
        wide = directory.replace(b"\0\3\0\0\0\1\0\6\0\0", b"\0\4\0\0\0\1\0\0\0\6")
        content = put_before(content, b"Exif\0\0MM\0*\0\0\0\x08" + wide, 0)
    elif kind == "far outside":
        content = put_before(content, b"Exif\0\0MM\0*\x7f\xff\xff\xff" + directory, 0)
        expected = turned(6)
    else:
        plain = png(np.rot90(DEEP))
        body = b"eXIf" + b"MM\0*\0\0\0\x08" + directory
        chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        np.testing.assert_array_equal(decode(plain[:33] + chunk + plain[33:]), expect(DEEP))
        return
    np.testing.assert_allclose(decode(content), expected.astype(float), atol=8)


def test_jpeg_with_a_tail_and_further_pictures():
    content = encode(SLOPE, "JPEG", quality=98)
    assert to_decodable(content + b"\0" * 9000).contents == content + b"\0" * 9000
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
    "text": (b"path,label\n" * 20, "not a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
    "ppm of 12 bits": (b"P6 33 20 4095\n" + DEEP[..., :3].tobytes(), "colors of 16 bits, which"),
    "tiff, floats": (encode(GRAY.astype(np.float32), "TIFF"), "neither 8 nor 16 bits without a s"),
    "tiff, 32 bits": (encode(GRAY.astype(np.int32), "TIFF"), "neither 8 nor 16 bits without a s"),
    "bomb": (make_bomb(), "more than 89,478,485 pixels"),
    "bomb, huge": (make_bomb().replace(b"\0\0\x13\x88", b"\0\xff\x13\x88", 1), ""),
    **{
        f"{kind}, {share} of it": (content[: int(len(content) * share)], "")
        for kind, content in {
            "jpeg": encode(SLOPE, "JPEG", quality=98),
            "jpeg, gray": encode(SLOPE[..., 0], "JPEG", quality=98),
            **{name: LOSSLESS[name][0] for name in ("png", "webp", "bmp", "gif", "tiff", "ppm")},
        }.items()
        for share in (0.1, 0.5, 0.9)
    },
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_have_a_reason(kind):
    content, reason = BAD[kind]
    with pytest.raises(pictures.BadPictureError) as caught:
        to_decodable(content)
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
            decode_prepared(bytes(damaged), RULE)
        except pictures.BadPictureError:
            continue
