"""Chooses Keras before any test imports TensorFlow, and holds what the tests share."""

from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401


def make_seeds(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-(2**31), 2**31, [count, 2]).astype(np.int32)


def make_images(batch: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colorful noise, uint8, with black, white and gray pixels among it."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, [batch, height, width, 3]).astype(np.uint8)
    images[:, 0, 0], images[:, 0, 1], images[:, 1, 0] = 0, 255, 77
    return images


@pytest.fixture
def seeds():
    return make_seeds


@pytest.fixture
def images():
    return make_images
