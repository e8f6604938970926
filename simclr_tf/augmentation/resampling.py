"""Bicubic resizing of a part of an image as `tf.image.resize` does it: pixels, or their weights."""

from __future__ import annotations

import tensorflow as tf

# tf.image.resize looks the cubic kernel up in a table of this many steps a pixel. The same steps
# make weights equal to it; the exact kernel would differ by up to 5e-4 of the contrast.
_KERNEL_STEPS = 1024

# The kernel reads a pixel sixteen times, and converts a byte each time: all pixels of a part are
# converted beforehand unless there are more of them, of which it reads a few.
_MOST_CONVERTED = 2**20


def crop_and_resize(
    image: tf.Tensor, box: dict[str, tf.Tensor], flip: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """Does to one image what `RandomResizedCrop` does to a batch, on the host and in less time.

    Args:
      image: `[H, W, C]` of any numeric type.
      box: from `RandomResizedCrop.draw`, of this image, without the batch axis.
      flip: bool scalar, whether to mirror the result left to right.
      size: height and width of the result.

    Returns:
      float32 `[*size, C]`, not clipped.
    """
    bottom, right = box["top"] + box["box_height"], box["left"] + box["box_width"]
    part = image[box["top"] : bottom, box["left"] : right]
    resized = tf.cond(
        box["box_height"] * box["box_width"] > _MOST_CONVERTED,
        lambda: tf.image.resize(part, size, method="bicubic"),
        lambda: tf.image.resize(tf.cast(part, tf.float32), size, method="bicubic"),
    )
    return tf.cond(flip, lambda: tf.reverse(resized, axis=[1]), lambda: resized)


def resampling_weights(
    begin: tf.Tensor,
    size: tf.Tensor,
    length: int | tf.Tensor,
    output_length: int,
    *,
    antialias: bool = False,
) -> tf.Tensor:
    """Weights of input pixels in a bicubically resized interval, along one axis.

    Args:
      begin: int32 `[batch]`, the interval's first pixel.
      size: int32 `[batch]`, its number of pixels.
      length: number of input pixels.
      output_length: number of output pixels.
      antialias: whether to widen the kernel where the interval shrinks.

    Returns:
      float32 `[batch, output_length, length]`. Each row sums to 1 and is 0 outside the interval.
    """
    size = tf.cast(size, tf.float32)[:, tf.newaxis]
    begin = tf.cast(begin, tf.float32)[:, tf.newaxis]
    scale = size / output_length
    positions = (tf.range(output_length, dtype=tf.float32) + 0.5) * scale - 0.5
    pixels = tf.cast(tf.range(length), tf.float32) - begin
    if antialias:
        widening = tf.maximum(scale, 1.0)[:, :, tf.newaxis]
        weights = _weigh(positions, pixels, size, widening)
        return weights / tf.reduce_sum(weights, axis=2, keepdims=True)
    whole = tf.floor(positions)
    positions = whole + tf.round((positions - whole) * _KERNEL_STEPS) / _KERNEL_STEPS
    # Four weights make the sum of all: XLA would compute all of them again for it.
    taps = whole[:, :, tf.newaxis] + tf.range(-1.0, 3.0)
    total = tf.reduce_sum(_weigh(positions, taps, size), axis=2, keepdims=True)
    return _weigh(positions, pixels, size) * (1 / total)


def _weigh(
    positions: tf.Tensor, pixels: tf.Tensor, size: tf.Tensor, widening: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """Returns the cubic kernel at pixels' distances from positions, 0 for pixels outside.

    Args:
      positions: float32 `[batch, output_length]`.
      pixels: float32 `[batch, n]` or `[batch, output_length, n]`, counted from the first of the
        interval.
      size: float32 `[batch, 1]`, the interval's length.
      widening: of the kernel.

    Returns:
      float32 `[batch, output_length, n]`.
    """
    if pixels.shape.rank == 2:
        pixels = pixels[:, tf.newaxis, :]
    distance = tf.abs(positions[:, :, tf.newaxis] - pixels) / widening
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    kernel = tf.where(distance < 1, near, tf.where(distance < 2, far, 0.0))
    return tf.where((pixels >= 0) & (pixels < size[:, :, tf.newaxis]), kernel, 0.0)
