"""The views by which health is measured: the same whenever they are made, and those of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import data
from simclr_tf.augmentation import SimCLRViews
from simclr_tf.data.reading import read_examples
from simclr_tf.evaluation import encode_views, sample_views, sampled_views


def seeds_of(image: int) -> tf.Tensor:
    return data.position_seeds(0, tf.constant([2 * image, 2 * image + 1], tf.int64))


@pytest.fixture(scope="module")
def views() -> SimCLRViews:
    return SimCLRViews(8, use_blur=False)


def test_views_are_those_that_training_makes_of_an_image_and_a_seed(views) -> None:
    """By the way that pictures of all sizes take, whose crops are rounded."""
    digits = data.load("digits")
    made = sample_views(digits, "train", views)
    assert (made.shape, made.dtype) == ((256, 4, 8, 8, 3), np.uint8)
    place = 40  # of the second batch
    (example,) = read_examples(digits, "train").skip(place).take(1)
    image, seeds = data.to_rgb(digits.decode(example)), seeds_of(place)
    crops = tf.stack([views.crop_one(image, seed) for seed in seeds])
    expected = tf.concat([*views.finish_few({"crops": crops, "seeds": seeds})], axis=0)
    np.testing.assert_allclose(made[place] / 255, expected, atol=3 / 255)
    assert (made == sample_views(digits, "train", views)).all()
    assert len(np.unique(made[:, :, 3, 3].reshape(-1, 3), axis=0)) > 100, "seeds differ"


def test_pictures_of_a_folder_that_are_broken_are_left_out(tmp_path: Path, monkeypatch) -> None:
    for number in range(8):
        level = 20 * number + 20
        Image.new("RGB", (9 + number, 8), (level,) * 3).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes(b"")
    monkeypatch.setattr(sampled_views, "IMAGES", 5)
    monkeypatch.setattr(sampled_views, "_AT_ONCE", 3 * 6 * 8 * 8)
    pictures = data.load(f"folder:{tmp_path}")
    order = pictures._paths[:5]
    assert order.index("4.png") < 5, "it is among those that are looked at"
    plain = SimCLRViews(8, color_jitter_strength=0, use_blur=False)
    with pictures.report_bad_images(str(tmp_path / "report")):
        made = sample_views(pictures, "all", plain)
    levels = made.reshape(len(made), -1)
    assert (levels.min(axis=1) == levels.max(axis=1)).all()
    expected = [20 * int(path[0]) + 20 for path in order if path != "4.png"]
    assert levels[:, 0].tolist() == expected


def test_large_views_are_fewer(views, monkeypatch) -> None:
    monkeypatch.setattr(sampled_views, "_BYTES", 3 * 4 * 8 * 8 * 3 + 5)
    assert len(sample_views(data.load("digits"), "train", views)) == 3


def test_views_are_encoded_in_parts_without_training(monkeypatch) -> None:
    asked = []

    def network(images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        asked.append((len(images), training))
        means = tf.reduce_mean(images, axis=(1, 2))
        return {"proj_head_input": tf.cast(means, tf.bfloat16), "proj_head_output": means[:, :2]}

    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4, 3), np.uint8)
    features, projections = encode_views(network, pictures, at_once=4)
    assert asked == [(4, False)] * 3 + [(3, False)]
    assert (features.shape, features.dtype, projections.shape) == ((5, 3, 3), np.float32, (5, 3, 2))
    expected = pictures.mean(axis=(2, 3))[..., :2] / 255
    np.testing.assert_allclose(projections, expected, rtol=1e-5)
