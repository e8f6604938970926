"""A random part of an image, resized: the first step of a view."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base
from simclr_tf.augmentation.separable import crop_by_matrices, from_lines, to_lines

# tf.image.resize looks the cubic kernel up in a table of this many steps a pixel. The same steps
# make this layer equal to it; the exact kernel would differ by up to 5e-4 of the contrast.
_KERNEL_STEPS = 1024


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomResizedCrop(base.StatelessAugmentationLayer):
    """Crops a random box and resizes it bicubically to `height` x `width`.

    The box has a uniform share of the image's area and a uniform aspect ratio, and lies anywhere in
    the image with equal probability. A box that does not fit is rejected and redrawn, not clipped,
    which would favor large boxes and distort their aspect; after `attempts` failures the whole
    image is taken. SimCLR, appendix A: area 0.08 to 1, aspect ratio 3/4 to 4/3 ("Inception crop").

    The aspect ratio follows the authors' code: uniform (torchvision: log-uniform) and relative to
    the output's, so that a square output sees 3/4 to 4/3. The area follows the paper's words. The
    authors' code calls `tf.image.sample_distorted_bounding_box`, which draws the box's height
    uniformly instead, among those that fit, and there covers a tenth of the area at least.

    Resizing equals `tf.image.resize(crop, method="bicubic", antialias=antialias)`: no pixels from
    outside the box. Bicubic weights overshoot at edges, so the result is clipped to `value_range`.

    Identity: `area_range=(1, 1)`, `aspect_ratio_range=(1, 1)` and the images' own size.

    Args:
      height: of the output, in pixels.
      width: of the output, in pixels.
      value_range: smallest and largest pixel value, for instance (0, 255).
      area_range: smallest and largest share of the image's area, in (0, 1].
      aspect_ratio_range: smallest and largest width / height of the box, as a multiple of the
        output's width / height.
      attempts: how many boxes to draw before taking the whole image.
      antialias: whether a box larger than the output is smoothed while it shrinks. The authors'
        code does not.
      seed: see `StatelessAugmentationLayer`.
      **kwargs: for keras-cv's base layer.

    Raises:
      ValueError: if a size is not positive or a range is empty or out of bounds.
    """

    word = "crop"
    salt = 1
    moves_pixels = True

    def __init__(
        self,
        height: int,
        width: int,
        *,
        value_range: tuple[float, float],
        area_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        attempts: int = 10,
        antialias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        if height < 1 or width < 1:
            raise ValueError(f"height and width must be positive, got {height} and {width}")
        if attempts < 1:
            raise ValueError(f"attempts must be positive, got {attempts}")
        self.height, self.width = height, width
        self.value_range = base.check_value_range(value_range)
        self.area_range = base.check_range("area_range", area_range)
        self.aspect_ratio_range = base.check_range("aspect_ratio_range", aspect_ratio_range)
        if self.area_range[0] <= 0 or self.area_range[1] > 1:
            raise ValueError(f"area_range must lie in (0, 1], got {area_range}")
        if self.aspect_ratio_range[0] <= 0:
            raise ValueError(f"aspect_ratio_range must be positive, got {aspect_ratio_range}")
        self.attempts = attempts
        self.antialias = antialias
        self.draws = 2 + 2 * attempts

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Draws boxes: `top`, `left`, `box_height` and `box_width`, int32 `[batch]`, in pixels."""
        full_height, full_width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
        area = base.scaled(uniforms[:, 2::2], self.area_range) * full_height * full_width
        aspect_ratio = base.scaled(uniforms[:, 3::2], self.aspect_ratio_range)
        aspect_ratio *= self.width / self.height
        box_heights = tf.round(tf.sqrt(area / aspect_ratio))
        box_widths = tf.round(tf.sqrt(area * aspect_ratio))

        smallest = tf.minimum(box_heights, box_widths)
        fits = (smallest >= 1) & (box_heights <= full_height) & (box_widths <= full_width)
        any_fits = tf.reduce_any(fits, axis=1)
        first = tf.argmax(tf.cast(fits, tf.int32), axis=1, output_type=tf.int32)
        box_height = tf.where(any_fits, tf.gather(box_heights, first, batch_dims=1), full_height)
        box_width = tf.where(any_fits, tf.gather(box_widths, first, batch_dims=1), full_width)
        return {
            "top": _draw_offset(uniforms[:, 0], full_height - box_height),
            "left": _draw_offset(uniforms[:, 1], full_width - box_width),
            "box_height": tf.cast(box_height, tf.int32),
            "box_width": tf.cast(box_width, tf.int32),
        }

    def augment_images(
        self, images: tf.Tensor, transformations: base.Transformations, **unused: Any
    ) -> tf.Tensor:
        height, width = base.length(images, 1), base.length(images, 2)
        rows, columns = self.matrices(transformations, height, width)
        lines = to_lines(images)
        lines = crop_by_matrices(lines, rows[:, tf.newaxis], columns[:, tf.newaxis])
        return tf.clip_by_value(from_lines(lines), *self.value_range)

    def matrices(
        self, boxes: base.Transformations, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Writes crops as matrices: what each of their rows and columns is made of.

        Args:
          boxes: from `draw`.
          height: of the images, in pixels.
          width: of the images, in pixels.

        Returns:
          float32 `[batch, self.height, height]` and `[batch, self.width, width]`.
        """
        intervals = (
            (boxes["top"], boxes["box_height"], height, self.height),
            (boxes["left"], boxes["box_width"], width, self.width),
        )
        rows, columns = (resampling_weights(*i, antialias=self.antialias) for i in intervals)
        return rows, columns

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "value_range": self.value_range,
            "area_range": self.area_range,
            "aspect_ratio_range": self.aspect_ratio_range,
            "attempts": self.attempts,
            "antialias": self.antialias,
        }


def crop_and_resize(
    image: tf.Tensor, box: base.Transformations, flip: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """Does to one image what `RandomResizedCrop` does to a batch, on the host and in less time.

    Flips it, too, before the conversion to float: so there are fewer bytes to move.

    Args:
      image: `[H, W, C]` of any numeric type.
      box: from `RandomResizedCrop.draw`, of this image, without the batch axis.
      flip: bool scalar, whether to mirror it left to right.
      size: height and width of the result.

    Returns:
      float32 `[*size, C]`, not clipped.
    """
    bottom, right = box["top"] + box["box_height"], box["left"] + box["box_width"]
    part = image[box["top"] : bottom, box["left"] : right]
    part = tf.cond(flip, lambda: tf.reverse(part, axis=[1]), lambda: part)
    # The kernel reads a pixel sixteen times, and would convert a byte each time.
    return tf.image.resize(tf.cast(part, tf.float32), size, method="bicubic")


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


def _draw_offset(uniform: tf.Tensor, room: tf.Tensor) -> tf.Tensor:
    # The product can round up to room + 1 although uniform < 1.
    return tf.cast(tf.minimum(tf.floor(uniform * (room + 1)), room), tf.int32)
