"""The bundled data set: 1,797 real handwritten digits, 8x8 pixels, no download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

NUM_CLASSES = 10
# One example in five of every class is kept for the test split.
TEST_EVERY = 5


class Digits(tfds.core.GeneratorBasedBuilder):
    """TFDS builder around `sklearn.datasets.load_digits`.

    Images are uint8 `[8, 8, 1]`: scikit-learn's 0..16 scaled to 0..255. Within every class each
    fifth example, in scikit-learn's order, goes to `test` and the others go to `train`, so that
    both splits are balanced and the same on every machine.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=NUM_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing to download.
        return {
            "train": self._generate_examples(test=False),
            "test": self._generate_examples(test=True),
        }

    def _generate_examples(self, test: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        # Imported here: only preparing this one data set needs scikit-learn.
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images = scale_to_uint8(pixels).reshape(-1, 8, 8, 1)
        for index in np.flatnonzero(select_test(labels) == test):
            yield int(index), {"image": images[index], "label": int(labels[index])}


def scale_to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Scales 0..16 to uint8 0..255, rounding half up."""
    return ((pixels.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)


def select_test(labels: np.ndarray) -> np.ndarray:
    """Returns bool `[examples]`: True for every fifth example of each class."""
    selected = np.zeros(labels.shape, dtype=bool)
    for label in range(NUM_CLASSES):
        selected[np.flatnonzero(labels == label)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return selected
