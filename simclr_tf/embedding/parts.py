"""Features that are being computed, a file for each few thousand images, to be gone on with."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from simclr_tf import files

_ABOUT = "about.json"


class Part(NamedTuple):
    """Some images, one after the other in their split; those that cannot be read are left out.

    Attributes:
      places: int64 [n], in the split, ascending.
      features: float32 [n, dim].
      labels: int64 [n], -1 for none.
      small: uint8 [m, side, side, 3], pictures of those that a projector shows.
    """

    places: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    small: np.ndarray


class Parts:
    """A folder of parts of one thing; what it holds of another thing is removed.

    Args:
      folder: where they are, local or `gs://`. Made with the first part.
      about: what the features are of, JSON: parts are gone on with if it is the same.
    """

    def __init__(self, folder: str, about: Mapping[str, Any]) -> None:
        self._folder, self._about = folder, dict(about)
        try:
            same = files.read_json(files.join(folder, _ABOUT)) == self._about
        except ValueError:
            same = False
        if not same:
            self.remove()

    @property
    def count(self) -> int:
        """How many there are, from the first one on without a gap."""
        if not tf.io.gfile.isdir(self._folder):
            return 0
        names = set(tf.io.gfile.listdir(self._folder))
        return next(number for number in range(len(names) + 1) if self._name(number) not in names)

    def add(self, part: Part) -> None:
        """Writes one more, whole or not at all."""
        number = self.count
        if not number:
            tf.io.gfile.makedirs(self._folder)
            files.write_json(files.join(self._folder, _ABOUT), self._about)
        content = io.BytesIO()
        np.savez(content, **part._asdict())
        files.write_bytes(files.join(self._folder, self._name(number)), content.getvalue())

    def __iter__(self) -> Iterator[Part]:
        for number in range(self.count):
            with tf.io.gfile.GFile(files.join(self._folder, self._name(number)), "rb") as file:
                content = io.BytesIO(file.read())
            with np.load(content, allow_pickle=False) as arrays:
                yield Part(**arrays)

    def remove(self) -> None:
        """Removes all, and the folder."""
        if tf.io.gfile.isdir(self._folder):
            tf.io.gfile.rmtree(self._folder)

    @staticmethod
    def _name(number: int) -> str:
        return f"{number:06d}.npz"
