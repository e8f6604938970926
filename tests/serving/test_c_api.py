"""The SavedModel in the loader that TensorFlow Serving uses, in a process without Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import encode, write_pictures

pytestmark = pytest.mark.smoke
rng = np.random.default_rng(0)
# Smooth, as photographs are, of another size and shape each.
SLOPES = [
    np.stack(np.broadcast_arrays(np.linspace(0, 255, w), np.linspace(255, 0, h)[:, None], 90.0), -1)
    for h, w in ((48, 40), (40, 67), (300, 200))
]
JPEGS = [encode(slope.astype(np.uint8), "JPEG") for slope in SLOPES]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_signature_equals_python(exported, load, tmp_path, precision) -> None:
    model = exported[precision]
    loader = load(model.folder)
    assert loader.signatures.keys() == {"serving_default", "embed", "project", "classify"}
    signatures = tf.saved_model.load(str(model.folder)).signatures
    pixels = rng.uniform(size=(2, 33, 47, 3)).astype(np.float32)
    pixels.tofile(tmp_path / "pixels")
    expected = {"serving_default": signatures["serving_default"](tf.constant(JPEGS))}
    asked = {"serving_default": ("strings", *write_pictures(tmp_path, JPEGS))}
    for name in ("embed", "project", "classify"):
        expected[name] = signatures[name](tf.constant(pixels))
        asked[name] = ("floats", tmp_path / "pixels", *pixels.shape)
    for name, words in asked.items():
        outputs = loader.ask(name, *words)
        assert outputs.keys() == expected[name].keys()
        for output, value in outputs.items():
            np.testing.assert_allclose(value, expected[name][output], atol=1e-5, err_msg=output)
    assert np.ptp(expected["serving_default"]["features"].numpy(), axis=0).max() > 1e-2


def test_jpeg_files_equal_the_network_on_evaluation_images(exported, load, tmp_path) -> None:
    from simclr_tf.data.preprocessing import preprocess_for_eval

    model = exported["float32"]
    paths = write_pictures(tmp_path, JPEGS)
    outputs = load(model.folder).ask("serving_default", "strings", *paths)
    images = [
        preprocess_for_eval(tf.io.decode_jpeg(content, channels=3), model.description.image_size)
        for content in JPEGS
    ]
    expected = model.network(tf.stack(images), training=False)
    np.testing.assert_allclose(outputs["features"], expected["final_avg_pool"], atol=1e-5)
    np.testing.assert_allclose(outputs["logits"], expected["logits_sup"], atol=1e-5)


def test_batches_of_any_size(exported, load, tmp_path) -> None:
    loader = load(exported["float32"].folder)
    paths = write_pictures(tmp_path, JPEGS)
    together = loader.ask("serving_default", "strings", *paths)
    for number, path in enumerate(paths):
        alone = loader.ask("serving_default", "strings", path)
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], together[name][number], atol=1e-5)
    many = loader.ask("serving_default", "strings", *(paths * 11))
    np.testing.assert_allclose(many["features"][-3:], together["features"], atol=1e-5)
    none = loader.ask("serving_default", "strings")
    assert {name: value.shape for name, value in none.items()} == {
        name: (0, *value.shape[1:]) for name, value in together.items()
    }


def test_a_corrupt_image_fails_its_request_only(exported, load, tmp_path) -> None:
    loader = load(exported["float32"].folder)
    good, cut, text = write_pictures(tmp_path, [JPEGS[0], JPEGS[2][:300], b"no picture at all"])
    before = loader.ask("serving_default", "strings", good)
    message = loader.ask("serving_default", "strings", good, text, good)
    assert "image 1 of the request is neither JPEG nor PNG" in message
    assert "JPEG" in loader.ask("serving_default", "strings", good, good, cut)
    after = loader.ask("serving_default", "strings", good)
    np.testing.assert_array_equal(before["features"], after["features"])


def _mutate(content: bytes) -> bytes:
    """Flips bits, cuts, repeats or overwrites a part."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        start, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
        kind = rng.integers(5)
        if kind == 0:
            data[start] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[start : start + length] = rng.bytes(length)
        elif kind == 2:
            data[start:start] = data[start : start + length]
        elif kind == 3 and len(data) > 40:
            del data[start : start + length]
        else:  # the header, where sizes are
            data[int(rng.integers(min(64, len(data))))] = int(rng.integers(256))
    return bytes(data[: int(rng.integers(1, len(data)))] if rng.random() < 0.1 else data)


def test_a_thousand_mutated_images(exported, load, tmp_path) -> None:
    small = SLOPES[0].astype(np.uint8)
    deep = SLOPES[0][..., 0].astype(np.uint16) * 200
    with_alpha = np.dstack([small, small[..., 0]])
    originals = [JPEGS[0], encode(small, "PNG"), encode(with_alpha, "PNG"), encode(deep, "PNG")]
    originals.append(encode(small, "JPEG", exif=_exif(6)))
    loader = load(exported["float32"].folder)
    (good,) = write_pictures(tmp_path, JPEGS[:1])
    before = loader.ask("serving_default", "strings", good)
    start = loader.peak_mib() if Path("/proc/self/status").exists() else None
    refused = 0
    for number in range(1000):
        path = tmp_path / "mutated"
        path.write_bytes(_mutate(originals[number % len(originals)]))
        answer = loader.ask("serving_default", "strings", path)
        if isinstance(answer, str):
            refused += 1
        else:
            assert np.isfinite(answer["features"]).all()
    assert 200 < refused < 950
    after = loader.ask("serving_default", "strings", good)
    np.testing.assert_array_equal(before["features"], after["features"])
    if (
        start is not None
    ):  # a picture may claim 89 million pixels: about 1.4 GiB while it is resized
        assert loader.peak_mib() - start < 2048


def _exif(orientation: int) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()
