"""The bundled data set holds scikit-learn's digits, once each, in balanced splits."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

from simclr_tf.data import digits


def read(load_made, split: str) -> tuple[np.ndarray, np.ndarray]:
    examples = list(tfds.as_numpy(load_made("digits").builder.as_dataset(split=split)))
    return np.stack([e["image"] for e in examples]), np.array([e["label"] for e in examples])


def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, ...]]:
    """Examples as a sorted list, to compare them in any order."""
    flat = np.concatenate([images.reshape(len(images), -1), labels[:, None]], axis=1)
    return sorted(map(tuple, flat.tolist()))


def test_content_is_scikit_learns(load_made):
    dataset = load_made("digits")
    assert dataset.image_shape == (8, 8, 1)
    assert dataset.num_classes == 10
    pixels, labels = load_digits(return_X_y=True)
    expected = np.floor(pixels / 16 * 255 + 0.5).astype(np.uint8)
    assert rows(*read(load_made, "train+test")) == rows(expected, labels)


def test_splits_are_balanced(load_made):
    _, train = read(load_made, "train")
    _, test = read(load_made, "test")
    assert len(train) + len(test) == 1797
    share = np.bincount(test, minlength=10) / np.bincount(load_digits().target)
    assert np.all((share > 0.19) & (share <= 0.2))


def test_splits_are_the_same_every_time():
    labels = np.tile(np.arange(10), 7)
    selected = digits.select_test(labels)
    np.testing.assert_array_equal(np.flatnonzero(selected), np.arange(40, 50))


def test_scale_spans_the_range():
    np.testing.assert_array_equal(digits.scale_to_uint8(np.array([0.0, 8.0, 16.0])), [0, 128, 255])
