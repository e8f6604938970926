"""What happens to an image outside augmentation: color channels, and the evaluation crop."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.pixel_rule import LARGEST_16, WHITE, PixelRule

# Share of the shorter side that the central crop keeps (the usual 224 of 256).
CROP_PROPORTION = 0.875
# Up to this size images are small throughout (CIFAR): a crop would cut into the object.
LARGEST_UNCROPPED_SIZE = 32


def to_rgb(image: tf.Tensor, rule: PixelRule = WHITE) -> tf.Tensor:
    """Returns an image, or a batch of images, as RGB of eight bits.

    Args:
      image: uint8 or uint16 `[..., height, width, channels]` of 1 (gray), 3 or 4 (RGB and alpha)
        channels, their number known statically.
      rule: what becomes of alpha and 16 bits. All of it is whole numbers, so that whoever computes
        it gets the same.

    Returns:
      uint8 `[..., height, width, 3]`.

    Raises:
      ValueError: for any other type or number of channels.
    """
    if image.dtype not in (tf.uint8, tf.uint16):
        raise ValueError(f"an image must be uint8 or uint16, not {image.dtype.name}")
    channels = image.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f"an image must have 1, 3 or 4 channels, not {channels}")
    colors, alpha = image[..., :3], image[..., 3:]
    if image.dtype == tf.uint16:
        colors, alpha = _scale(colors, *rule.bounds_16), _scale(alpha, 0, LARGEST_16)
    if channels == 1:
        return tf.repeat(colors, 3, axis=-1)
    if channels == 3 or rule.alpha_background is None:
        return colors
    # The largest value, 255 * 255 + 127, fits into 16 bits.
    colors, alpha = tf.cast(colors, tf.uint16), tf.cast(alpha, tf.uint16)
    background = tf.constant(rule.alpha_background, tf.uint16)
    return tf.cast((colors * alpha + background * (255 - alpha) + 127) // 255, tf.uint8)


def _scale(values: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Returns uint16 as uint8: `low` to `high` in 256 steps of equal width, clipped outside."""
    shifted = tf.clip_by_value(tf.cast(values, tf.int32), low, high) - low
    return tf.cast(shifted * 256 // (high - low + 1), tf.uint8)


def preprocess_for_eval(
    image: tf.Tensor, image_size: int, crop_proportion: float = CROP_PROPORTION
) -> tf.Tensor:
    """Prepares an image, or a batch of images of one size, for evaluation and serving.

    Above 32 pixels: a central square crop of 0.875 of the shorter side, then a bicubic resize, with
    the rounding of the reference release (tf2/data_util.py, `preprocess_for_eval`). At 32 pixels
    and below: a bicubic resize alone, which leaves an image of that size as it is.

    Args:
      image: uint8, or float32 in [0, 1], `[..., height, width, 3]` with at most one leading
        dimension. Sizes may be static or dynamic.
      image_size: height and width of the result.
      crop_proportion: share of the shorter side that the central crop keeps.

    Returns:
      float32 `[..., image_size, image_size, 3]` in [0, 1].
    """
    if image_size > LARGEST_UNCROPPED_SIZE:
        image = _crop_center(image, crop_proportion)
    image = tf.image.convert_image_dtype(image, tf.float32)
    image = tf.image.resize(image, (image_size, image_size), method=tf.image.ResizeMethod.BICUBIC)
    # Bicubic interpolation overshoots at edges.
    return tf.clip_by_value(image, 0.0, 1.0)


def _crop_center(image: tf.Tensor, proportion: float) -> tf.Tensor:
    """Cuts the central square of this share of the shorter side out of `[..., h, w, 3]`."""
    shape = tf.shape(image)
    height, width = shape[-3], shape[-2]
    # Rounds half to even, as the reference does.
    side = tf.math.rint(proportion * tf.cast(tf.minimum(height, width), tf.float32))
    side = tf.cast(side, tf.int32)
    top = (height - side + 1) // 2
    left = (width - side + 1) // 2
    return image[..., top : top + side, left : left + side, :]
