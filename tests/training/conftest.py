"""Real images in seconds: the digits that scikit-learn bundles."""

from __future__ import annotations

import warnings

import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [1797, 16, 16, 3] and labels int64 [1797]."""
    from sklearn.datasets import load_digits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scikit-learn's own, with NumPy 2.5
        bunch = load_digits()
    pixels = (bunch.images * 15).astype(np.uint8).repeat(2, 1).repeat(2, 2)
    return np.stack([pixels] * 3, axis=-1), bunch.target.astype(np.int64)
