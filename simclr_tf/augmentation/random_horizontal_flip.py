"""Left-right flips."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomHorizontalFlip(base.StatelessAugmentationLayer):
    """Mirrors images drawn at random left to right.

    SimCLR, appendix A. keras-cv's `RandomFlip` does the same, but cannot be given an image's seed.

    Identity: `probability=0`.

    Args:
      probability: of a flip.
      seed: see `StatelessAugmentationLayer`.
      **kwargs: for keras-cv's base layer.

    Raises:
      ValueError: if `probability` is outside [0, 1].
    """

    word = "flip"
    salt = 2
    draws = 1
    moves_pixels = True

    def __init__(self, probability: float = 0.5, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.probability = base.check_probability(probability)

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Decides which images are flipped: `apply`, bool `[batch]`."""
        return {"apply": uniforms[:, 0] < self.probability}

    def augment_lines(self, lines: tf.Tensor, transformations: base.Transformations) -> tf.Tensor:
        return base.switch(transformations["apply"], tf.reverse(lines, axis=[3]), lines)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}
