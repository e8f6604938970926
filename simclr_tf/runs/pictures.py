"""Some pictures of a split: to look at, and their features."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from simclr_tf import data
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.evaluation.features import encode_split, features_of, nothing_read
from simclr_tf.runs.frozen import check_finite


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures that could be read, in the order of their split.

    Attributes:
      dataset: they are of.
      split: of it.
      total: how many the split has.
      is_sample: whether only some of these were looked at.
      places: in the split, int64 [n], ascending.
      features: float32 [n, dim].
      labels: int64 [n], -1 for none.
      names: of each.
    """

    dataset: data.ImageDataset
    split: str
    total: int
    is_sample: bool
    places: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.places)

    def draw(self, rows: np.ndarray, *, side: int) -> np.ndarray:
        """Returns the pictures of some rows, ascending: uint8 [rows, side, side, 3]."""
        return draw_pictures(self.dataset, self.split, self.places[rows], side=side)

    @property
    def side(self) -> int:
        """The longer one, in pixels, as they are stored; 96 where they vary."""
        height, width, _ = self.dataset.image_shape
        return 96 if height is None or width is None else max(height, width)


def encode_some(
    encoder: tf.keras.Model,
    dataset: data.ImageDataset,
    config: Config,
    split: str,
    *,
    most: int,
    labeled: bool,
) -> Pictures:
    """Encodes at most so many pictures, spread evenly over a split.

    Args:
      encoder: images float32 [batch, h, w, 3] in [0, 1] -> features h.
      dataset: the data set.
      config: says at which size, and how many at a time.
      split: in TFDS's syntax.
      most: pictures.
      labeled: leave out those without a label.

    Raises:
      SettingError: nothing is left, or features are no numbers.
    """
    total = dataset.num_examples(split)
    chosen = np.arange(total) if total <= most else np.arange(most) * total // most
    parts = encode_split(
        features_of(encoder),
        dataset if total <= most else dataset.only(split, chosen),
        split=split,
        batch_size=config.evaluation.eval_batch_size,
        image_size=config.data.image_size,
    )
    places, features, labels = map(np.concatenate, zip(*parts))
    if not len(places):
        raise nothing_read(dataset, split)
    if labeled:
        kept = labels >= 0
        places, features, labels = places[kept], features[kept], labels[kept]
    if not len(places):
        raise SettingError("dataset", dataset.name, f": no image of {split} has a label")
    check_finite(features, config, split)
    names, places = dataset.image_names(split), chosen[places]
    own = [names[place] for place in places]
    return Pictures(dataset, split, total, total > most, places, features, labels, own)


def draw_pictures(
    dataset: data.ImageDataset, split: str, places: np.ndarray, *, side: int
) -> np.ndarray:
    """Returns the middle squares of pictures, uint8 [places, side, side, 3].

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      places: of readable pictures in it, ascending.
      side: pixels.
    """
    input_fn = data.eval_input_fn(
        dataset.only(split, places),
        split=split,
        global_batch_size=len(places),
        image_size=side,
        crop_proportion=1.0,
    )
    (batch,) = input_fn(tf.distribute.InputContext())
    return np.round(255 * np.clip(batch["image"].numpy(), 0, 1)).astype(np.uint8)
