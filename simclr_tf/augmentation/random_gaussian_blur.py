"""Gaussian blur of random strength."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base
from simclr_tf.augmentation.separable import apply_rows_and_columns


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomGaussianBlur(base.StatelessAugmentationLayer):
    """Blurs an image, with a probability of its own and a standard deviation of its own.

    SimCLR, appendix A: probability 0.5, standard deviation uniform in [0.1, 2.0] pixels, a kernel
    of a tenth of the image's height. As in the authors' code the kernel has
    `2 * (height // 10 // 2) + 1` taps, always odd, so that nothing shifts: 3 at 32 pixels, 23 at
    224, and below 20 pixels a single one, which is no blur.

    Beyond the border the nearest pixel is repeated. The authors' code pads with zeros, which
    darkens the borders of exactly the blurred images: a hint at the augmentation which no
    photograph has.

    Identity: `probability=0`.

    Args:
        probability: of a blur.
        sigma_range: smallest and largest standard deviation, in pixels.
        seed: see `StatelessAugmentationLayer`.
        **kwargs: for keras-cv's base layer.

    Raises:
        ValueError: if `probability` is outside [0, 1] or `sigma_range` is empty or not positive.
    """

    salt = 5
    draws = 2

    def __init__(
        self,
        probability: float = 0.5,
        *,
        sigma_range: tuple[float, float] = (0.1, 2.0),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.probability = base.check_probability(probability)
        self.sigma_range = base.check_range("sigma_range", sigma_range)
        if self.sigma_range[0] <= 0:
            raise ValueError(f"sigma_range must be positive, got {sigma_range}")

    def transformations_from(self, uniforms: tf.Tensor, images: tf.Tensor) -> base.Transformations:
        """Draws `apply`, bool `[batch]`, and `sigma`, float32 `[batch]`, in pixels."""
        return {
            "apply": uniforms[:, 0] < self.probability,
            "sigma": base.scaled(uniforms[:, 1], self.sigma_range),
        }

    def augment_images(
        self, images: tf.Tensor, transformations: base.Transformations, **unused: Any
    ) -> tf.Tensor:
        height, width = base.spatial_shape(images)
        radius = height // 10 // 2
        if isinstance(radius, int) and radius == 0:
            return images
        offsets = tf.range(-radius, radius + 1)
        distances = tf.cast(offsets, tf.float32) / transformations["sigma"][:, tf.newaxis]
        kernel = tf.exp(-0.5 * distances * distances)
        kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)
        # A kernel of one tap copies the image exactly, without a second pass over the pixels.
        copy = tf.cast(offsets == 0, tf.float32)
        kernel = tf.where(transformations["apply"][:, tf.newaxis], kernel, copy)
        return apply_rows_and_columns(
            images,
            _blurring_weights(kernel, offsets, height),
            _blurring_weights(kernel, offsets, width),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "probability": self.probability,
            "sigma_range": self.sigma_range,
        }


def _blurring_weights(kernel: tf.Tensor, offsets: tf.Tensor, length: int | tf.Tensor) -> tf.Tensor:
    """Writes a convolution with repeated borders as matrices, float32 `[batch, length, length]`."""
    pixels = tf.range(length)
    sources = tf.clip_by_value(pixels + offsets[:, tf.newaxis], 0, length - 1)
    return tf.einsum("bt,toi->boi", kernel, tf.one_hot(sources, length))
