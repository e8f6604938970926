"""The same views of the same images at all times, and what a network makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from simclr_tf import data
from simclr_tf.data.reading import decode_examples, read_examples

if TYPE_CHECKING:  # importing it brings keras-cv, which takes seconds
    from simclr_tf.augmentation import Views

IMAGES = 256
VIEWS = 4
"""Of each image: with all, views span 768 dimensions, and ResNet-18 has 512."""

_BYTES = 2**26  # of all views; of large ones there are fewer
_AT_ONCE = 2**22  # pixels' colors of views that are made at a time
_BATCHED = 64  # pixels a side; see `augmentation.ViewPipeline`
_SEED = 0  # whatever the run's: runs are measured by the same views


def sample_views(dataset: data.ImageDataset, split: str, views: Views) -> np.ndarray:
    """Makes views of the first images of a split: they follow from the data alone.

    These are any images: tensorflow-datasets has shuffled them, and folders are in the order of a
    hash.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      views: makes two of an image and its seed; several seeds make more.

    Returns:
      uint8 [images, `VIEWS`, image_size, image_size, 3]: at most `IMAGES`, and 64 MiB. Images that
      cannot be read are left out.
    """
    pairs, side = VIEWS // 2, views.image_size
    count = min(IMAGES, max(2, _BYTES // (VIEWS * 3 * side**2)))
    seeds = data.position_seeds(_SEED, tf.range(count * pairs, dtype=tf.int64))
    examples = read_examples(dataset, split).take(count)
    examples = decode_examples(dataset, dataset.load(split, examples, replace_bad=False))
    height, width, _ = dataset.image_shape
    batched = height is not None and width is not None and max(height, width) <= _BATCHED
    waiting: list[tuple[tf.Tensor, tf.Tensor]] = []
    for number, example in enumerate(examples):
        if example.get("weight", 1.0) == 0:
            continue
        image = data.to_rgb(example["image"], dataset.pixel_rule)
        for seed in seeds[pairs * number : pairs * (number + 1)]:
            waiting.append((image if batched else views.crop_one(image, seed), seed))
    made = np.zeros([len(waiting), 2, side, side, 3], np.uint8)
    size = max(1, _AT_ONCE // (6 * side**2))
    for start in range(0, len(waiting), size):
        pictures, own = map(tf.stack, zip(*waiting[start : start + size]))
        finished = views.finish_few({"images" if batched else "crops": pictures, "seeds": own})
        made[start : start + size] = np.rint(255 * finished.numpy())
    return made.reshape(-1, VIEWS, side, side, 3)


def encode_views(
    network: tf.keras.Model, pictures: np.ndarray, *, at_once: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """Returns features h and projections z of views, in evaluation mode.

    Nothing is compiled: a few batches take less time than a trace.

    Args:
      network: images float32 [batch, size, size, 3] in [0, 1] -> `proj_head_input` and
        `proj_head_output`, as a `training.Network`.
      pictures: uint8 [images, views, size, size, 3].
      at_once: views at a time.

    Returns:
      float32 [images, views, dim] each.
    """
    flat = pictures.reshape(-1, *pictures.shape[2:])
    encoded: dict[str, list[np.ndarray]] = {"proj_head_input": [], "proj_head_output": []}
    for start in range(0, len(flat), at_once):
        images = tf.constant(flat[start : start + at_once].astype(np.float32) / 255)
        outputs = network(images, training=False)
        for name, parts in encoded.items():
            parts.append(tf.cast(outputs[name], tf.float32).numpy())
    features, projections = (
        np.concatenate(parts).reshape(*pictures.shape[:2], -1) for parts in encoded.values()
    )
    return features, projections
