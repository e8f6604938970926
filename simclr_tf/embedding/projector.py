"""TensorBoard's projector: features, names and small pictures of some images, to look around in."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from simclr_tf import files

MOST = 5_000
"""Points: more than that are slow in a browser."""
SIDE = 32
"""Pixels of a point's picture."""

_CONFIG = """embeddings {{
  tensor_name: "features"
  tensor_path: "features.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


class Projector:
    """Collects what it shows, and writes it.

    Args:
      images: how many there are in all; evenly spaced ones are shown, at most `MOST`.
    """

    def __init__(self, images: int) -> None:
        self.every = max(1, -(-images // MOST))
        """Each image whose place in the split is a multiple of this is shown."""
        self._rows: list[str] = []
        self._said: list[str] = []
        self._small: list[np.ndarray] = []

    def add(
        self, points: Sequence[tuple[str, str]], features: np.ndarray, small: np.ndarray
    ) -> None:
        """Adds points.

        Args:
          points: the name and the label of each.
          features: float [points, dim].
          small: uint8 [points, SIDE, SIDE, 3].
        """
        self._rows += ["\t".join(f"{number:.6g}" for number in row) for row in features]
        self._said += ["\t".join(map(_plain, point)) for point in points]
        self._small.append(small)

    def write(self, folder: str) -> None:
        """Writes the files that `tensorboard --logdir=folder` finds."""
        tf.io.gfile.makedirs(folder)
        files.write_text(files.join(folder, "features.tsv"), "\n".join(self._rows) + "\n")
        said = ["name\tlabel", *self._said]
        files.write_text(files.join(folder, "metadata.tsv"), "\n".join(said) + "\n")
        files.write_bytes(files.join(folder, "sprite.png"), _sprite(np.concatenate(self._small)))
        config = _CONFIG.format(side=SIDE)
        files.write_text(files.join(folder, "projector_config.pbtxt"), config)


def _sprite(small: np.ndarray) -> bytes:
    """Lays pictures out in a square, row by row, as the projector reads them."""
    across = math.ceil(math.sqrt(len(small)))
    sheet = np.full([across * across, *small.shape[1:]], 255, np.uint8)
    sheet[: len(small)] = small
    rows = sheet.reshape(across, across, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
    content = io.BytesIO()
    Image.fromarray(rows.reshape(across * SIDE, across * SIDE, 3)).save(content, "PNG")
    return content.getvalue()


def _plain(text: str) -> str:
    return " ".join(text.split())
