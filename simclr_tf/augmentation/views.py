"""The one place that assembles augmentations into what a model is trained on."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.augmentation import base, stateless
from simclr_tf.augmentation.random_color_jitter import RandomColorJitter
from simclr_tf.augmentation.random_gaussian_blur import RandomGaussianBlur
from simclr_tf.augmentation.random_grayscale import RandomGrayscale
from simclr_tf.augmentation.random_horizontal_flip import RandomHorizontalFlip
from simclr_tf.augmentation.random_resized_crop import RandomResizedCrop

_UNIT = (0.0, 1.0)


class _Views:
    """Crops each image once a view, scales to [0, 1], then runs further layers over all views."""

    def __init__(
        self,
        image_size: int,
        *,
        views: int,
        color_jitter_strength: float,
        use_blur: bool,
        value_range: tuple[float, float],
    ) -> None:
        self.image_size = image_size
        self.value_range = base.check_value_range(value_range)
        self._views = views
        self._crop = RandomResizedCrop(image_size, image_size, value_range=self.value_range)
        self.layers: list[base.StatelessAugmentationLayer] = [RandomHorizontalFlip()]
        if color_jitter_strength > 0:
            self.layers.append(RandomColorJitter(_UNIT, strength=color_jitter_strength))
            self.layers.append(RandomGrayscale())
        if use_blur:
            self.layers.append(RandomGaussianBlur())

    def _augment(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Makes the views, float32 `[batch, views, size, size, 3]`."""
        images = tf.cast(images, tf.float32)
        seeds = tf.convert_to_tensor(seeds)
        seeds = stateless.fold_in(seeds[:, tf.newaxis, :], tf.range(self._views))
        # Images may be far larger than crops, so they are not repeated for each view.
        crops = [
            self._crop({base.IMAGES: images, base.SEEDS: seeds[:, view]})[base.IMAGES]
            for view in range(self._views)
        ]
        shape = [self.image_size, self.image_size, 3]
        low, high = self.value_range
        views = tf.reshape(tf.stack(crops, axis=1), [-1, *shape])
        views = (views - low) / (high - low)
        batch = {base.IMAGES: views, base.SEEDS: tf.reshape(seeds, [-1, 2])}
        for layer in self.layers:
            batch = layer(batch)
        views = tf.reshape(batch[base.IMAGES], [-1, self._views, *shape])
        return tf.ensure_shape(views, [images.shape[0], self._views, *shape])


class SimCLRViews(_Views):
    """Makes an image's two views (SimCLR, section 2.1 and appendix A).

    In the paper's order: crop and flip, colour jitter, greyscale, blur.

    Args:
        image_size: height and width of a view, in pixels.
        color_jitter_strength: 1 for ImageNet, 0.5 for CIFAR. 0 drops jitter and greyscale both, as
            in the authors' code.
        use_blur: whether to blur half of the views. The paper does for ImageNet, not for CIFAR.
        value_range: smallest and largest pixel value of the input.
    """

    def __init__(
        self,
        image_size: int,
        *,
        color_jitter_strength: float = 1.0,
        use_blur: bool = True,
        value_range: tuple[float, float] = (0, 255),
    ) -> None:
        super().__init__(
            image_size,
            views=2,
            color_jitter_strength=color_jitter_strength,
            use_blur=use_blur,
            value_range=value_range,
        )

    def __call__(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Makes both views of a batch. An image's views depend on the image and its seed alone.

        Args:
            images: `[batch, H, W, 3]`, any numeric type, in `value_range`.
            seeds: int32 `[batch, 2]`.

        Returns:
            float32 `[batch, 2, image_size, image_size, 3]` in [0, 1].
        """
        return self._augment(images, seeds)


class SupervisedView(_Views):
    """Makes one view by crop and flip alone, to train a classifier (SimCLR, appendix B.5).

    Args:
        image_size: height and width of the view, in pixels.
        value_range: smallest and largest pixel value of the input.
    """

    def __init__(self, image_size: int, *, value_range: tuple[float, float] = (0, 255)) -> None:
        super().__init__(
            image_size,
            views=1,
            color_jitter_strength=0.0,
            use_blur=False,
            value_range=value_range,
        )

    def __call__(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Makes the view of every image in a batch.

        Args:
            images: `[batch, H, W, 3]`, any numeric type, in `value_range`.
            seeds: int32 `[batch, 2]`.

        Returns:
            float32 `[batch, image_size, image_size, 3]` in [0, 1].
        """
        return self._augment(images, seeds)[:, 0]
