"""Features h of every image of a split, for measures that fit on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tqdm

from simclr_tf import data, terminal
from simclr_tf.data.preprocessing import CROP_PROPORTION
from simclr_tf.data.train_pipeline import Transform
from simclr_tf.errors import SettingError


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
    input_fn = data.eval_input_fn(
        dataset,
        split=split,
        global_batch_size=batch_size,
        image_size=image_size,
        crop_proportion=crop_proportion,
    )
    embed = tf.function(  # nothing to convert
        lambda images: tf.cast(encoder(images, training=False), tf.float32), autograph=False
    )
    features, labels = [], []
    steps = data.eval_steps(dataset.num_examples(split), batch_size)
    batches = input_fn(tf.distribute.InputContext())
    bar = tqdm.tqdm(
        batches,
        total=steps,
        desc=f"features of {split}",
        leave=False,
        disable=not terminal.is_watched(),
    )
    for batch in bar:
        real = batch["weight"].numpy() > 0
        features.append(embed(batch["image"]).numpy()[real])
        labels.append(batch["label"].numpy()[real])
    if not any(map(len, labels)):
        raise SettingError(
            "dataset",
            dataset.name,
            f": no file of {split} can be read",
            "give another split or data set",
        )
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
    embed = tf.function(  # nothing to convert
        lambda images: tf.cast(encoder(images, training=False), tf.float32), autograph=False
    )
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
