"""Which range of 16-bit pictures is found, in folders and in data sets of TFDS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from simclr_tf import data, pictures
from simclr_tf.data.image_dataset import MOST_SAMPLED
from simclr_tf.data.pixel_range import PixelRange, measure_range
from simclr_tf.pixel_rule import PixelRule
from tests.data.conftest import _Made

rng = np.random.default_rng(0)
RULE = PixelRule(alpha_background=(200, 10, 90), range_16=(103, 4012))


class Listed:
    """Stands for a data set: gives these pictures."""

    def __init__(self, *samples: np.ndarray):
        self.samples = list(samples)

    def sample_16_bit(self, split: str) -> list[np.ndarray]:
        return self.samples


CAMERA = rng.integers(0, 4096, 60_000).astype(np.uint16)
THERMAL = rng.integers(29_000, 32_001, 60_000).astype(np.uint16)
HOT = CAMERA.copy()
HOT[:40] = 65_535


@pytest.mark.parametrize(
    ("samples", "low", "high"),
    [
        ([CAMERA], 4, 4091),
        ([CAMERA, CAMERA // 4], 2, 4089),
        ([THERMAL], 29_003, 31_997),
        ([HOT], 4, 4092),
        ([np.full(9, 700, np.uint16)], 572, 827),
        ([np.zeros(9, np.uint16)], 0, 255),
        ([np.full(9, 65_535, np.uint16)], 65_280, 65_535),
    ],
)
def test_range_in_use(samples, low, high) -> None:
    found = measure_range(Listed(*samples), "train")
    assert abs(found.low - low) <= 3 and abs(found.high - high) <= 3
    assert found.high - found.low >= 255
    assert found.pictures == len(samples)


def test_no_pictures_of_16_bits() -> None:
    assert measure_range(Listed(), "train") is None
    assert measure_range(Listed(np.zeros(0, np.uint16)), "train") is None  # all transparent


def open_folder(root: Path) -> data.ImageDataset:
    return data.load(f"folder:{root}")


def test_a_folder_of_many_kinds(tmp_path) -> None:
    """PNG in gray and color, TIFF and PGM count; what is transparent, broken or of 8 bits not."""
    values = rng.integers(1000, 3001, (30, 40, 3)).astype(np.uint16)
    for number, content in enumerate((values, values[..., :1])):
        (tmp_path / f"{number}.png").write_bytes(tf.io.encode_png(content).numpy())
    hidden = np.full((30, 40, 4), 60_000, np.uint16)
    hidden[..., 3] = 0
    hidden[:9, :, :3], hidden[:9, :, 3] = 2000, 9
    (tmp_path / "hidden.png").write_bytes(tf.io.encode_png(hidden).numpy())
    for suffix in ("tiff", "pgm"):
        Image.fromarray(values[..., 1]).save(tmp_path / f"gray.{suffix}")
    for suffix in ("png", "tif", "jpg"):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / f"eight.{suffix}")
    (tmp_path / "cut.png").write_bytes((tmp_path / "0.png").read_bytes()[:600])
    (tmp_path / "text.tif").write_text("no picture")
    found = measure_range(open_folder(tmp_path), "all")
    assert found == measure_range(open_folder(tmp_path), "all")
    assert found.pictures == 5
    assert 1000 <= found.low < 1010 and 2990 < found.high <= 3000
    assert str(found) == f"{found.low:,} to {found.high:,} of a sample of 5"


def test_few_files_are_opened(tmp_path, monkeypatch) -> None:
    """None that can have no 16 bits; of others, headers first, throughout the split."""
    opened: list[str] = []
    real = pictures.open_picture
    look = lambda file: opened.append(getattr(file, "name", "")) or real(file)
    monkeypatch.setattr(pictures, "open_picture", look)
    eight = tf.io.encode_png(np.zeros((2, 2, 1), np.uint8)).numpy()
    for number in range(700):
        (tmp_path / f"{number}.jpg").touch()
        (tmp_path / f"{number}.png").write_bytes(eight)
    assert measure_range(open_folder(tmp_path), "train") is None
    assert 150 < len(opened) <= 256
    assert not [path for path in opened if not path.endswith(".png")]
    deep = tf.io.encode_png(np.full((2, 2, 1), 900, np.uint16)).numpy()
    for number in range(700):
        (tmp_path / f"{number}.png").write_bytes(deep)
    assert measure_range(open_folder(tmp_path), "train").pictures == MOST_SAMPLED


class MadeDeep(_Made):
    """Gray images of 16 bits, of a 12-bit camera."""

    SHAPE = (6, 5, 1)

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=self.SHAPE, dtype=np.uint16)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"image": image}), description="Made."
        )

    def _generate_examples(self):
        for index, image in enumerate(self.images()):
            yield index, {"image": image}

    @staticmethod
    def images() -> list[np.ndarray]:
        values = np.random.default_rng(1)
        return [values.integers(100, 4096, (6, 5, 1)).astype(np.uint16) for _ in range(12)]


class MadeCutOut(_Made):
    """Images with alpha."""

    SHAPE = (6, 5, 4)
    HAS_LABEL = False

    @staticmethod
    def images() -> list[np.ndarray]:
        values = np.random.default_rng(2)
        return [values.integers(0, 256, (6, 5, 4)).astype(np.uint8) for _ in range(4)]


class Untouched:
    """A transform that shows what it is given."""

    def in_batches(self, height: int, width: int) -> bool:
        return True

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": images}


@pytest.mark.parametrize("made", [MadeDeep, MadeCutOut])
def test_data_sets_of_tfds_go_by_the_same_rule(made, tmp_path) -> None:
    made(data_dir=str(tmp_path)).download_and_prepare()
    name = {MadeDeep: "made_deep", MadeCutOut: "made_cut_out"}[made]
    dataset = data.load(name, data_dir=tmp_path)
    images = np.stack(made.images())
    found = measure_range(dataset, "train")
    if made is MadeDeep:
        assert found == PixelRange(*np.quantile(images, [0.001, 0.999], method="nearest"), 12)
        low, high = RULE.range_16
        expected = (np.clip(images, low, high).astype(int) - low) * 256 // (high - low + 1)
        expected = expected.repeat(3, axis=-1)
    else:
        assert found is None
        colors, alpha = images[..., :3].astype(float), images[..., 3:] / 255
        expected = np.rint(colors * alpha + np.array(RULE.alpha_background) * (1 - alpha))
    seen = dataset.with_pixel_rule(RULE)
    count = len(images)
    evaluated = data.eval_input_fn(seen, split="train", global_batch_size=count, image_size=5)
    square = tf.image.resize(expected / np.float32(255), (5, 5), "bicubic")
    key = lambda image: image.tobytes()
    (batch,) = evaluated(tf.distribute.InputContext())
    np.testing.assert_allclose(
        sorted(batch["image"].numpy(), key=np.sum),
        sorted(np.clip(square, 0, 1), key=np.sum),
        atol=1e-6,
    )
    trained = data.train_input_fn(
        seen,
        split="train",
        global_batch_size=count,
        transform=Untouched(),
        cache=False,
        seed=0,
    )
    (batch,) = trained(tf.distribute.InputContext()).take(1)
    np.testing.assert_array_equal(
        sorted(batch["image"].numpy(), key=key), sorted(expected.astype(np.uint8), key=key)
    )
