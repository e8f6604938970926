"""Color removed at random."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base

_LUMA = (0.2989, 0.5870, 0.1140)


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomGrayscale(base.StatelessAugmentationLayer):
    """Replaces images drawn at random by their luma, in all three channels.

    SimCLR, appendix A ("color drop"). A switch, not a blend of color and gray. The weights are
    those of `tf.image.rgb_to_grayscale`.

    Identity: `probability=0`.

    Args:
      probability: of losing color.
      seed: see `StatelessAugmentationLayer`.
      **kwargs: for keras-cv's base layer.

    Raises:
      ValueError: if `probability` is outside [0, 1], or, when called, if images are not RGB.
    """

    word = "grayscale"
    salt = 4
    draws = 1

    def __init__(self, probability: float = 0.2, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.probability = base.check_probability(probability)

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Decides which images lose color: `apply`, bool `[batch]`."""
        return {"apply": uniforms[:, 0] < self.probability}

    def augment_lines(self, lines: tf.Tensor, transformations: base.Transformations) -> tf.Tensor:
        base.check_rgb(lines)

        def remove_color() -> tf.Tensor:
            red, green, blue = tf.unstack(lines, axis=2)
            luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
            return tf.stack([luma] * 3, axis=2)

        return base.change_where(transformations["apply"], remove_color, lines)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}
