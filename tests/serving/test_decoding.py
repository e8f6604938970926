"""What a server refuses before it decodes, and what it makes of files that are damaged."""

from __future__ import annotations

import contextlib
import zlib

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.data.decoding import decode_picture
from simclr_tf.pixel_rule import WHITE
from simclr_tf.serving.decoding import check_picture
from tests.serving.conftest import encode

pytestmark = pytest.mark.smoke
rng = np.random.default_rng(0)
NOISE = rng.integers(0, 256, (20, 33, 4), np.uint8)
DEEP = rng.integers(0, 65536, (20, 33, 4), np.uint16)
RGB = NOISE[..., :3]
ROWS, COLUMNS = np.mgrid[:20, :33]
SLOPE = np.stack([ROWS * 9, COLUMNS * 5, ROWS * 0 + 100], axis=-1).astype(np.uint8)


def decode(content: bytes, index: int = 0) -> np.ndarray:
    return _decode(tf.constant(content), tf.constant(index)).numpy()


_decode = tf.function(
    lambda content, index: decode_picture(check_picture(content, index), WHITE),
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)],
    autograph=False,
)


FILES = {
    "jpeg": encode(SLOPE, "JPEG", quality=90),
    "jpeg, progressive": encode(SLOPE, "JPEG", progressive=True),
    "png": encode(RGB, "PNG"),
    "png, alpha": encode(NOISE, "PNG"),
    "png, 16 bits": tf.io.encode_png(DEEP).numpy(),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_a_server_decodes_passes(kind) -> None:
    expected = decode_picture(tf.constant(FILES[kind]), WHITE)
    np.testing.assert_array_equal(decode(FILES[kind]), expected)
    assert expected.shape == [20, 33, 3]
    assert np.ptp(expected) > 100


OTHERS = [b"", b"x", b"no picture", b"\0" * 99, *(encode(RGB, k) for k in ("WEBP", "BMP", "GIF"))]


@pytest.mark.parametrize("content", OTHERS)
def test_another_file_is_refused_by_its_number_with_a_remedy(content) -> None:
    told = r"image 5 of the request is neither JPEG nor PNG; convert it to PNG"
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        decode(content, index=5)


@pytest.mark.parametrize("kind", FILES)
def test_files_cut_short_are_refused_or_decoded(kind) -> None:
    content = FILES[kind]
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(content[:30])
    for length in range(40, len(content) - 1, len(content) // 7):
        # A JPEG decoder may make do with some of the data; a crash would end the tests.
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert decode(content[:length]).shape == (20, 33, 3)


def test_chunks_of_any_length_end_and_repeat_no_file() -> None:
    """A server must not look for the end of what claims to be long, or count backwards."""
    content = FILES["png"]
    for length in (0, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 12):
        odd = content[:33] + length.to_bytes(4, "big") + b"tEXt" + content[33:]
        with pytest.raises(tf.errors.InvalidArgumentError) as refused:
            decode(odd)
        assert len(str(refused.value)) < 500
    short = b"\0\0\0\0teXt" + zlib.crc32(b"teXt").to_bytes(4, "big")
    np.testing.assert_array_equal(decode(content[:33] + short * 5000 + content[33:]), RGB)


def _claiming(kind: str, width: int, height: int) -> bytes:
    """A file whose header claims another size."""
    if kind == "JPEG":
        content = bytearray(FILES["jpeg"])
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        return bytes(content)
    content = bytearray(FILES["png"])
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("kind", "width"), [("JPEG", 30_000), ("PNG", 30_000), ("PNG", 2**31), ("PNG", 2**32 - 1)]
)
def test_headers_that_claim_too_much_are_refused_before_decoding(kind, width) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="image 2 .* more than 89,478,485 pix"):
        decode(_claiming(kind, width, 30_000), index=2)
