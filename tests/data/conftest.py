"""Data sets for the tests: small ones made on the spot, and real ones where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip
import tensorflow_datasets as tfds

from simclr_tf import data

NUM_FILES = 5


class _Made(tfds.core.GeneratorBasedBuilder):
    """A data set made from `EXAMPLES`: (image, label) pairs."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE: tuple[int | None, int | None, int] = (None, None, 3)
    HAS_LABEL = True

    def _info(self) -> tfds.core.DatasetInfo:
        features: dict[str, Any] = {"image": tfds.features.Image(shape=self.SHAPE)}
        if self.HAS_LABEL:
            features["label"] = tfds.features.ClassLabel(num_classes=40)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), description="Made."
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, image in enumerate(self.images()):
            yield index, {"image": image} | ({"label": index} if self.HAS_LABEL else {})

    @staticmethod
    def images() -> list[np.ndarray]:
        raise NotImplementedError


class MadeVaried(_Made):
    """RGB photographs of different sizes: image i is 10 + i high, 20 - i / 2 wide, of color i."""

    @staticmethod
    def images() -> list[np.ndarray]:
        return [np.full((10 + i, 20 - i // 2, 3), i, np.uint8) for i in range(23)]


class MadeVariedGray(_Made):
    """Gray images of different sizes without labels."""

    SHAPE = (None, None, 1)
    HAS_LABEL = False

    @staticmethod
    def images() -> list[np.ndarray]:
        return [np.full((10 + i, 12, 1), i, np.uint8) for i in range(7)]


class MadeFiles(_Made):
    """37 gray images of one size in several files."""

    SHAPE = (4, 6, 1)

    @staticmethod
    def images() -> list[np.ndarray]:
        return [np.full((4, 6, 1), i, np.uint8) for i in range(37)]


class MadePartly(_Made):
    """12 images with a label, 40 without, as stl10's `unlabelled`; and three of one class."""

    SHAPE = (8, 8, 3)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        labels = {"train": [i % 4 for i in range(12)], "unlabelled": [-1] * 40, "same": [2] * 3}
        return {split: self._labeled(numbers) for split, numbers in labels.items()}

    def _labeled(self, labels: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, label in enumerate(labels):
            image = np.full(self.SHAPE, 20 * (label + 1) + index, np.uint8)
            yield index, {"image": image, "label": label}


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the made data sets and `digits`, prepared."""
    folder = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    for builder in (MadeVaried, MadeVariedGray, MadePartly):
        builder(data_dir=str(folder)).download_and_prepare()
    MadeFiles(data_dir=str(folder)).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=NUM_FILES)
    )
    data.load("digits", data_dir=folder)
    return folder


@pytest.fixture(scope="session")
def load_made(data_dir: Path) -> Callable[[str], data.ImageDataset]:
    """Loads `digits`, `made_varied`, `made_varied_gray` or `made_files`."""
    return lambda name: data.load(name, data_dir=data_dir)


@pytest.fixture(scope="session")
def fashion_dir() -> Path:
    """The folder with the prepared Fashion-MNIST, or a skip."""
    given = os.environ.get("SIMCLR_TF_TEST_DATA")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared" / "tfds"
    if not (folder / "fashion_mnist").is_dir():
        pytest.skip(f"no fashion_mnist in {folder}; set SIMCLR_TF_TEST_DATA to the folder with it")
    return folder


@pytest.fixture
def contexts() -> Callable[..., list[tf.distribute.InputContext]]:
    """Makes the InputContexts of all hosts of a job."""

    def make(pipelines: int, replicas: int) -> list[tf.distribute.InputContext]:
        return [
            tf.distribute.InputContext(pipelines, index, replicas) for index in range(pipelines)
        ]

    return make
