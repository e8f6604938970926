"""A random part of an image, resized: the first step of a view."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base
from simclr_tf.augmentation.resampling import resampling_weights
from simclr_tf.augmentation.separable import crop_by_matrices, from_lines, to_lines

# Of an elongated image most boxes are rejected. The last draws come from the smallest rectangle of
# areas and aspect ratios that holds all that fit: of these, half fit at least.
_CLOSE_DRAWS = 6

_Range = tuple[float | tf.Tensor, float | tf.Tensor]


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomResizedCrop(base.StatelessAugmentationLayer):
    """Crops a random box and resizes it bicubically to `height` x `width`.

    The box has a uniform share of the image's area and a uniform aspect ratio, and lies anywhere in
    the image with equal probability. A box that does not fit is rejected and redrawn, not clipped,
    which would favor large boxes and distort their aspect. After `attempts` failures, six more are
    drawn among those areas and aspect ratios alone for which any box fits, which changes nothing
    about the boxes that are accepted; then the largest box of an allowed aspect ratio is taken, so
    that no picture is ever squashed. SimCLR, appendix A: area 0.08 to 1, aspect ratio 3/4 to 4/3
    ("Inception crop").

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
      attempts: how many boxes to draw of all areas and aspect ratios.
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
        self.draws = 2 + 2 * (attempts + _CLOSE_DRAWS)

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Draws boxes: `top`, `left`, `box_height` and `box_width`, int32 `[batch]`, in pixels."""
        full_height, full_width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
        areas, aspect_ratios = self._fitting(full_height, full_width)
        count = self.attempts
        area = _scale(uniforms[:, 2::2], count, self.area_range, areas) * full_height * full_width
        aspect_ratio = _scale(uniforms[:, 3::2], count, self.aspect_ratio_range, aspect_ratios)
        aspect_ratio *= self.width / self.height
        box_heights = tf.round(tf.sqrt(area / aspect_ratio))
        box_widths = tf.round(tf.sqrt(area * aspect_ratio))

        smallest = tf.minimum(box_heights, box_widths)
        fits = (smallest >= 1) & (box_heights <= full_height) & (box_widths <= full_width)
        any_fits = tf.reduce_any(fits, axis=1)
        first = tf.argmax(tf.cast(fits, tf.int32), axis=1, output_type=tf.int32)
        largest_height, largest_width = self._largest_box(full_height, full_width)
        box_height = tf.where(any_fits, tf.gather(box_heights, first, batch_dims=1), largest_height)
        box_width = tf.where(any_fits, tf.gather(box_widths, first, batch_dims=1), largest_width)
        return {
            "top": _draw_offset(uniforms[:, 0], full_height - box_height),
            "left": _draw_offset(uniforms[:, 1], full_width - box_width),
            "box_height": tf.cast(box_height, tf.int32),
            "box_width": tf.cast(box_width, tf.int32),
        }

    def _fitting(self, height: tf.Tensor, width: tf.Tensor) -> tuple[_Range, _Range]:
        """Returns the shares of the area, and the aspect ratios, for which any box fits."""
        (smallest, largest), (low, high) = self.area_range, self.aspect_ratio_range
        area, ratio = height * width, self.width / self.height
        # A box fits if it rounds to the image's length: half a pixel more. Its share is at most
        # `high_box` times its aspect ratio, and `wide_box` divided by it.
        high_box = tf.square(height + 0.5) * ratio / area
        wide_box = tf.square(width + 0.5) / ratio / area
        best = tf.clip_by_value(tf.sqrt(wide_box / high_box), low, high)
        fitting = tf.minimum(largest, tf.minimum(high_box * best, wide_box / best))
        narrowest = tf.clip_by_value(smallest / high_box, low, best)
        widest = tf.clip_by_value(wide_box / smallest, best, high)
        return (smallest, fitting), (narrowest, widest)

    def _largest_box(self, height: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns height and width of the largest box of an allowed aspect ratio, whole pixels."""
        low, high = (ratio * self.width / self.height for ratio in self.aspect_ratio_range)
        ratio = tf.clip_by_value(width / height, low, high)
        box_height = tf.round(tf.minimum(height, width / ratio))
        box_width = tf.round(tf.minimum(width, height * ratio))
        return tf.maximum(box_height, 1.0), tf.maximum(box_width, 1.0)

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


def _scale(uniforms: tf.Tensor, count: int, first: _Range, others: _Range) -> tf.Tensor:
    """Stretches the first `count` columns of `[batch, n]` to one range, the others to another."""
    columns = base.scaled(uniforms[:, :count], first), base.scaled(uniforms[:, count:], others)
    return tf.concat(columns, axis=1)


def _draw_offset(uniform: tf.Tensor, room: tf.Tensor) -> tf.Tensor:
    # The product can round up to room + 1 although uniform < 1.
    return tf.cast(tf.minimum(tf.floor(uniform * (room + 1)), room), tf.int32)
