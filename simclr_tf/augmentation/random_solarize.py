"""Bright pixels inverted at random."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomSolarize(base.StatelessAugmentationLayer):
    """Inverts pixels at least as bright as a threshold, in images drawn at random.

    Not part of SimCLR; BYOL uses it (https://arxiv.org/abs/2006.07733, appendix B: probability 0.2
    on one of the two views). keras-cv's `Solarization` always applies.

    Identity: `probability=0`.

    Args:
      value_range: smallest and largest pixel value, for instance (0, 255).
      probability: of an inversion.
      threshold: the share of the range at and above which a value is inverted.
      seed: see `StatelessAugmentationLayer`.
      **kwargs: for keras-cv's base layer.

    Raises:
      ValueError: if `probability` or `threshold` is outside [0, 1] or `value_range` is empty.
    """

    word = "solarize"
    salt = 6
    draws = 1

    def __init__(
        self,
        value_range: tuple[float, float],
        probability: float = 0.2,
        *,
        threshold: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.value_range = base.check_value_range(value_range)
        self.probability = base.check_probability(probability)
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must lie in [0, 1], got {threshold}")
        self.threshold = float(threshold)

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Decides which images are changed: `apply`, bool `[batch]`."""
        return {"apply": uniforms[:, 0] < self.probability}

    def augment_lines(self, lines: tf.Tensor, transformations: base.Transformations) -> tf.Tensor:
        low, high = self.value_range
        inverted = tf.where(
            lines >= low + self.threshold * (high - low), high - (lines - low), lines
        )
        return base.switch(transformations["apply"], inverted, lines)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "probability": self.probability,
            "threshold": self.threshold,
        }
