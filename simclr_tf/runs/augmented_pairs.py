"""Images beside their views, as a report shows them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from PIL import Image

from simclr_tf import data
from simclr_tf.augmentation.contact_sheet import describe_view
from simclr_tf.config import Config
from simclr_tf.report.pictures import Pair
from simclr_tf.report.sheets import SIDES
from simclr_tf.runs.networks import contrastive_views

COUNT = 6


def augmented_pairs(
    config: Config, dataset: data.ImageDataset, split: str
) -> tuple[list[Pair], np.ndarray]:
    """Makes views of the first images that a run learns from.

    Args:
      config: the run's.
      dataset: that holds the images.
      split: in TFDS's syntax.

    Returns:
      Pairs, and the pictures that their tiles count: uint8 [n, side, side, 3].
    """
    samples = data.sample_images(
        dataset,
        split=split,
        batch_size=min(config.optimization.train_batch_size, dataset.num_examples(split)),
        seed=config.task.seed,
        cache=config.data.cache_dataset,
        most=COUNT,
    )
    views = contrastive_views(config)
    side = next((side for side in SIDES if side >= config.data.image_size), SIDES[-1])
    pairs: list[Pair] = []
    pictures: list[np.ndarray] = []
    for image, seed in samples[:COUNT]:
        # Nothing is compiled for a few images.
        crops = {"crops": views.crop_one(image, seed)[tf.newaxis], "seeds": seed[tf.newaxis]}
        made = np.rint(255 * views.finish_few(crops)[0].numpy()).astype(np.uint8)
        drawn = views.parameters(seed, *image.shape[:2])
        first = len(pictures)
        pictures += [_square(image, side), *(_resize(view, side) for view in made)]
        boxes = [_box(view["crop"], image.shape) for view in drawn]
        lines = [describe_view(view, image.shape) for view in drawn]
        pairs.append(Pair((first, first + 1, first + 2), boxes, lines))
    return pairs, np.stack(pictures)


def _resize(pixels: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """Resizes, without smoothing where that enlarges."""
    larger = width >= pixels.shape[1]
    how = Image.Resampling.NEAREST if larger else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((width, height or width), how))


def _square(image: tf.Tensor, side: int) -> np.ndarray:
    """Returns the whole image in the middle of a gray square."""
    pixels = image.numpy()
    scale = side / max(pixels.shape[:2])
    height, width = (max(1, round(scale * length)) for length in pixels.shape[:2])
    whole = np.full([side, side, 3], 128, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    whole[top : top + height, left : left + width] = _resize(pixels, width, height)
    return whole


def _box(crop: dict[str, np.ndarray], shape: tf.TensorShape) -> tuple[float, float, float, float]:
    """Returns where a crop lies in the square of its image, in percent."""
    height, width, _ = shape
    longest = max(height, width)
    left = float(crop["left"]) + (longest - width) / 2
    top = float(crop["top"]) + (longest - height) / 2
    numbers = left, top, float(crop["box_width"]), float(crop["box_height"])
    left, top, wide, high = (100 * number / longest for number in numbers)
    return left, top, wide, high
