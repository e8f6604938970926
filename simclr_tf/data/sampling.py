"""A few training images to look at."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.data.image_dataset import Example, ImageDataset
from simclr_tf.data.train_pipeline import train_input_fn


class _Untouched:
    """A transform that keeps images, and the seeds that training would give them."""

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> Example:
        return {"image": images, "seed": seeds}

    def prepare_one(self, image: tf.Tensor, seed: tf.Tensor) -> Example:
        return {"image": image, "seed": seed}


def sample_images(
    dataset: ImageDataset, *, split: str, count: int, seed: int
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns images of a split and their seeds.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      count: how many images.
      seed: decides which.

    Returns:
      Pairs of a uint8 tensor `[h, w, 3]` and an int32 tensor `[2]`.
    """
    input_fn = train_input_fn(
        dataset,
        split=split,
        global_batch_size=1,  # images may differ in size
        transform=_Untouched(),
        cache=False,
        seed=seed,
        shuffle_buffer=16 * count,
    )
    batches = input_fn(tf.distribute.InputContext()).take(count)
    return [(batch["image"][0], batch["seed"][0]) for batch in batches]
