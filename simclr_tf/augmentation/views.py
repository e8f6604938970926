"""From images to views: the order of work, on one image or many, on a host or a device."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf import compat, stateless
from simclr_tf.augmentation import base
from simclr_tf.augmentation.random_horizontal_flip import RandomHorizontalFlip
from simclr_tf.augmentation.random_resized_crop import RandomResizedCrop
from simclr_tf.augmentation.resampling import crop_and_resize
from simclr_tf.augmentation.separable import crop_by_matrices, from_lines, to_lines


class Views:
    """Crops and flips every image once a view, scales to [0, 1], then distorts.

    A view depends on the image and its seed alone, whichever way it is made: `views(images, seeds)`
    for a batch of one size, `of_one` for an image of any size, or `crop_one` on the host and
    `from_crops` on an accelerator. `finish` takes the way that fits what it is given. Where there
    is one view, the axis of views is left out.

    Args:
      image_size: height and width of a view, in pixels.
      views_per_image: how many.
      distortions: the layers after crop and flip.
      value_range: smallest and largest pixel value of the input.
      min_crop_area: the smallest share of an image that a view shows.

    Attributes:
      crop: the first layer.
      flip: the second.
    """

    def __init__(
        self,
        image_size: int,
        *,
        views_per_image: int,
        distortions: list[base.StatelessAugmentationLayer],
        value_range: tuple[float, float],
        min_crop_area: float = 0.08,
    ) -> None:
        self.image_size = image_size
        self.views_per_image = views_per_image
        self.value_range = base.check_value_range(value_range)
        self.crop = RandomResizedCrop(
            image_size,
            image_size,
            area_range=(min_crop_area, 1.0),
            value_range=self.value_range,
        )
        self.flip = RandomHorizontalFlip()
        self.distortions = distortions
        # XLA makes one pass over the pixels of many small operations.
        compiled = compat.compiles_for_host() or None
        self._compiled_batch = tf.function(self._make_batch, jit_compile=compiled)
        self._compiled_crops = tf.function(self._continue_crops, jit_compile=compiled)
        self._compiled_each = tf.function(self._continue_each, jit_compile=compiled)
        self._compiled_draw = tf.function(self._draw_boxes, jit_compile=compiled)

    def __call__(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Makes the views of images of one size.

        Args:
          images: `[batch, H, W, 3]`, any numeric type, in `value_range`.
          seeds: int32 `[batch, 2]`.

        Returns:
          float32 `[batch, views, image_size, image_size, 3]` in [0, 1].
        """
        images = tf.convert_to_tensor(images)
        views = self._compiled_batch(images, tf.convert_to_tensor(seeds))
        return tf.ensure_shape(views, images.shape[:1] + self._shape)

    def of_one(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Makes the views of one image, on the host.

        Args:
          image: `[H, W, 3]`, any numeric type, in `value_range`.
          seed: int32 `[2]`.

        Returns:
          float32 `[views, image_size, image_size, 3]` in [0, 1].
        """
        views = self._compiled_each(*self._crop_one(image, seed))
        return tf.reshape(views, self._shape)

    def crop_one(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Crops, resizes and flips as `of_one` does, and stops there.

        Returns:
          `[views, image_size, image_size, 3]` of the image's type, rounded if that is integer.
        """
        crops = tf.clip_by_value(tf.stack(self._crop_one(image, seed)[0]), *self.value_range)
        if image.dtype.is_integer:
            crops = tf.round(crops)
        return tf.reshape(tf.cast(crops, image.dtype), self._shape)

    def from_crops(self, crops: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Goes on from a batch of `crop_one`.

        Args:
          crops: `[batch, views, image_size, image_size, 3]` in `value_range`.
          seeds: int32 `[batch, 2]`, those of the crops.

        Returns:
          The same shape, float32, in [0, 1].
        """
        flat = tf.reshape(crops, [-1, self.image_size, self.image_size, 3])
        views = self._compiled_crops(tf.cast(flat, tf.float32), self._seeds(seeds))
        return tf.reshape(views, [-1, *self._shape])

    def finish(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Does what is left to do for a batch of `ViewPipeline`, or of the caller's own.

        Args:
          batch: `views`, made already; or `seeds` beside `crops` or whole `images`.

        Returns:
          float32 `[batch, views, image_size, image_size, 3]` in [0, 1].
        """
        if "views" in batch:
            return batch["views"]
        if "crops" in batch:
            return self.from_crops(batch["crops"], batch["seeds"])
        return self(batch["images"], batch["seeds"])

    def finish_few(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Does what `finish` does, to be called eagerly on a few images: nothing is compiled."""
        if "views" in batch:
            return tf.convert_to_tensor(batch["views"])
        seeds = tf.convert_to_tensor(batch["seeds"])
        if "crops" in batch:
            flat = tf.reshape(batch["crops"], [-1, self.image_size, self.image_size, 3])
            views = self._continue_crops(tf.cast(flat, tf.float32), self._seeds(seeds))
            return tf.reshape(views, [-1, *self._shape])
        return self._make_batch(tf.convert_to_tensor(batch["images"]), seeds)

    def parameters(
        self, seed: tf.Tensor, height: int, width: int
    ) -> list[dict[str, dict[str, np.ndarray]]]:
        """Returns what is drawn for each view of one image, to be shown: by layer, by name."""
        seeds = self._seeds(tf.convert_to_tensor(seed)[tf.newaxis])
        drawn = {
            layer.word: layer.draw(seeds, height, width)
            for layer in (self.crop, self.flip, *self.distortions)
        }
        return [
            {
                word: {name: value[view].numpy() for name, value in parameters.items()}
                for word, parameters in drawn.items()
            }
            for view in range(self.views_per_image)
        ]

    @property
    def _shape(self) -> list[int]:
        views = [self.views_per_image] if self.views_per_image > 1 else []
        return [*views, self.image_size, self.image_size, 3]

    def _seeds(self, seeds: tf.Tensor) -> tf.Tensor:
        """Derives a seed for each view, int32 `[batch * views, 2]`."""
        seeds = stateless.fold_in(seeds[:, tf.newaxis, :], tf.range(self.views_per_image))
        return tf.reshape(seeds, [-1, 2])

    def _crop_one(self, image: tf.Tensor, seed: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Returns each view's crop, not yet clipped, and the seeds `[views, 2]`."""
        seeds, boxes, flips = self._compiled_draw(seed, tf.shape(image))
        size = (self.image_size, self.image_size)
        crops = []
        for view in range(self.views_per_image):
            box = {name: value[view] for name, value in boxes.items()}
            crops.append(crop_and_resize(image, box, flips[view], size))
        return crops, seeds

    @tf.autograph.experimental.do_not_convert
    def _draw_boxes(
        self, seed: tf.Tensor, shape: tf.Tensor
    ) -> tuple[tf.Tensor, base.Transformations, tf.Tensor]:
        seeds = self._seeds(seed[tf.newaxis])
        return seeds, self.crop.draw(seeds, shape[0], shape[1]), self.flip.draw(seeds)["apply"]

    @tf.autograph.experimental.do_not_convert
    def _make_batch(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        seeds = self._seeds(seeds)
        height, width = base.length(images, 1), base.length(images, 2)
        rows, columns = self.crop.matrices(self.crop.draw(seeds, height, width), height, width)
        flipped = tf.reverse(columns, axis=[1])
        columns = base.switch(self.flip.draw(seeds)["apply"], flipped, columns)
        size = self.image_size
        lines = crop_by_matrices(
            to_lines(tf.cast(images, tf.float32)),
            tf.reshape(rows, [-1, self.views_per_image, size, height]),
            tf.reshape(columns, [-1, self.views_per_image, size, width]),
        )
        return tf.reshape(self._distort(lines, seeds), [-1, *self._shape])

    @tf.autograph.experimental.do_not_convert
    def _continue_crops(self, crops: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return self._distort(to_lines(crops), seeds)

    @tf.autograph.experimental.do_not_convert
    def _continue_each(self, crops: list[tf.Tensor], seeds: tf.Tensor) -> tf.Tensor:
        # One by one, so that what a view does not need is left out.
        views = [self._continue_crops(c[tf.newaxis], seeds[i : i + 1]) for i, c in enumerate(crops)]
        return tf.concat(views, axis=0)

    def _distort(self, lines: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Clips, scales and distorts; returns images `[n, image_size, image_size, 3]`."""
        low, high = self.value_range
        lines = tf.clip_by_value((lines - low) / (high - low), 0.0, 1.0)
        for layer in self.distortions:
            lines = layer.augment_lines(lines, layer.draw(seeds))
        return from_lines(lines)
