"""Features h of every image of a split, for measures that fit on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from simclr_tf import data, terminal
from simclr_tf.data.preprocessing import CROP_PROPORTION
from simclr_tf.data.train_pipeline import Transform
from simclr_tf.errors import SettingError


def encode_split(
    encode: Callable[[tf.Tensor], Any],
    dataset: data.ImageDataset,
    *,
    split: str,
    batch_size: int,
    image_size: int,
    crop_proportion: float = CROP_PROPORTION,
    start_step: int = 0,
) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Encodes a split in its order, a batch at a time, and shows how far it is.

    Args:
      encode: images float32 [batch, h, w, 3] in [0, 1] -> a tensor [batch, ...], or a structure.
      dataset: the data set.
      split: in TFDS's syntax.
      batch_size: images per step.
      image_size: see `simclr_tf.data.preprocess_for_eval`.
      crop_proportion: see there.
      start_step: batches that are left out at the beginning.

    Yields:
      Of the images of a batch that can be read: places in the split, int64 [n]; what `encode` makes
      of them, arrays; and labels, int64 [n].
    """
    input_fn = data.eval_input_fn(
        dataset,
        split=split,
        global_batch_size=batch_size,
        image_size=image_size,
        start_step=start_step,
        crop_proportion=crop_proportion,
    )
    run = tf.function(encode, autograph=False)  # nothing to convert
    bar = tqdm.tqdm(
        input_fn(tf.distribute.InputContext()),
        initial=start_step,
        total=data.eval_steps(dataset.num_examples(split), batch_size),
        unit="batch",
        desc=f"features of {split}",
        leave=False,
        disable=not terminal.is_watched(),
    )
    for step, batch in enumerate(bar, start_step):
        real = batch["weight"].numpy() > 0
        made = tf.nest.map_structure(
            lambda part, kept=real: part.numpy()[kept], run(batch["image"])
        )
        yield step * batch_size + np.flatnonzero(real), made, batch["label"].numpy()[real]


def nothing_read(dataset: data.ImageDataset, split: str) -> SettingError:
    """Returns the error to raise where not one image of a split can be read."""
    return SettingError(
        "dataset",
        dataset.name,
        f": no file of {split} can be read",
        "give another split or data set",
    )


def extract_features(
    encoder: Callable[..., tf.Tensor],
    dataset: data.ImageDataset,
    *,
    split: str,
    batch_size: int,
    image_size: int,
    crop_proportion: float = CROP_PROPORTION,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns features float32 [n, dim] and labels int64 [n], in the split's order.

    Args:
      encoder: images float32 [batch, h, w, 3] in [0, 1] -> [batch, dim].
      dataset: the data set.
      split: in TFDS's syntax.
      batch_size: images per step.
      image_size: see `simclr_tf.data.preprocess_for_eval`.
      crop_proportion: see there.

    Raises:
      SettingError: not one image of the split can be read.
    """
    features, labels = [], []
    for _, made, own in encode_split(
        features_of(encoder),
        dataset,
        split=split,
        batch_size=batch_size,
        image_size=image_size,
        crop_proportion=crop_proportion,
    ):
        features.append(made)
        labels.append(own)
    if not any(map(len, labels)):
        raise nothing_read(dataset, split)
    return np.concatenate(features), np.concatenate(labels)


def augmented_features(
    encoder: tf.keras.Model,
    dataset: data.ImageDataset,
    *,
    split: str,
    transform: Transform,
    at_a_time: int,
    batch: int,
    seed: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields features of augmented images and their labels, in shuffled epochs without end.

    Args:
      encoder: see `extract_features`.
      dataset: the data set, with labels.
      split: in TFDS's syntax.
      transform: gives float32 `views` [n, h, w, 3] of images.
      at_a_time: images that are encoded at a time.
      batch: features that are yielded at a time: float32 [batch, dim] and labels int64 [batch].
      seed: of order and views.
    """
    input_fn = data.train_input_fn(
        dataset,
        split=split,
        global_batch_size=at_a_time,
        transform=transform,
        cache=False,
        seed=seed,
    )
    embed = tf.function(features_of(encoder), autograph=False)  # nothing to convert
    features: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for encoded in input_fn(tf.distribute.InputContext()):
        known = encoded["label"].numpy() >= 0
        features.append(embed(encoded["views"]).numpy()[known])
        labels.append(encoded["label"].numpy()[known])
        while sum(map(len, labels)) >= batch:
            h, y = np.concatenate(features), np.concatenate(labels)
            yield h[:batch], y[:batch]
            features, labels = [h[batch:]], [y[batch:]]


def features_of(encoder: Callable[..., tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns what encodes images, in inference and as float32: for `encode_split`."""
    return lambda images: tf.cast(encoder(images, training=False), tf.float32)
