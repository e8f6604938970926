"""Gaussian blur of random strength."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base
from simclr_tf.augmentation.separable import mix_within_band


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomGaussianBlur(base.StatelessAugmentationLayer):
    """Blurs images drawn at random, each by a standard deviation of its own.

    SimCLR, appendix A: probability 0.5, standard deviation uniform in [0.1, 2.0] pixels, a kernel
    of a tenth of the image's height. As in the authors' code the kernel has
    `2 * (height // 10 // 2) + 1` taps, always odd, so that nothing shifts: 3 at 32 pixels, 23 at
    224, and below 20 pixels a single one, which is no blur.

    Beyond the border the nearest pixel is repeated. The authors' code pads with zeros, which
    darkens the borders of exactly the blurred images: a hint at the augmentation that no
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

    word = "blur"
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

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Draws `apply`, bool `[batch]`, and `sigma`, float32 `[batch]`, in pixels."""
        return {
            "apply": uniforms[:, 0] < self.probability,
            "sigma": base.scaled(uniforms[:, 1], self.sigma_range),
        }

    def augment_lines(self, lines: tf.Tensor, transformations: base.Transformations) -> tf.Tensor:
        height, width = base.length(lines, 1), base.length(lines, 3)
        radius = height // 10 // 2
        if isinstance(radius, int) and radius == 0:
            return lines

        def blur() -> tf.Tensor:
            rows = _blurring_matrices(transformations["sigma"], radius, height)
            columns = rows
            if height is not width:
                columns = _blurring_matrices(transformations["sigma"], radius, width)
            return mix_within_band(lines, rows, columns, radius)

        return base.change_where(transformations["apply"], blur, lines)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "probability": self.probability,
            "sigma_range": self.sigma_range,
        }


def _blurring_matrices(
    sigma: tf.Tensor, radius: int | tf.Tensor, length: int | tf.Tensor
) -> tf.Tensor:
    """Writes convolutions with repeated borders as matrices, float32 `[batch, length, length]`."""
    taps = tf.range(-radius, radius + 1)
    kernel = _gaussian(taps, sigma)
    total = tf.reduce_sum(kernel, axis=1)[:, tf.newaxis, tf.newaxis]
    pixels = tf.range(length)
    offsets = pixels - pixels[:, tf.newaxis]
    band = _gaussian(offsets, sigma[:, tf.newaxis])
    band = tf.where(tf.abs(offsets) <= radius, band, 0.0)
    # Taps beyond a border read the pixel at it.
    reach = pixels + taps[:, tf.newaxis]
    before = tf.linalg.matmul(kernel, tf.cast(reach < 0, tf.float32))[:, :, tf.newaxis]
    after = tf.linalg.matmul(kernel, tf.cast(reach >= length, tf.float32))[:, :, tf.newaxis]
    first, last = tf.cast(pixels == 0, tf.float32), tf.cast(pixels == length - 1, tf.float32)
    return (band + before * first + after * last) / total


def _gaussian(offsets: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    distances = tf.cast(offsets, tf.float32) / sigma[..., tf.newaxis]
    return tf.exp(-0.5 * distances * distances)
