"""Colour taken away at random."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomGrayscale(base.StatelessAugmentationLayer):
    """Replaces an image by its luma, in all three channels, with a probability of its own.

    SimCLR, appendix A ("color drop"). A switch, not a blend of colour and grey. The weights are
    those of `tf.image.rgb_to_grayscale`.

    Identity: `probability=0`.

    Args:
        probability: of losing colour.
        seed: see `StatelessAugmentationLayer`.
        **kwargs: for keras-cv's base layer.

    Raises:
        ValueError: if `probability` is outside [0, 1], or, when called, if images are not RGB.
    """

    salt = 4
    draws = 1

    def __init__(self, probability: float = 0.2, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.probability = base.check_probability(probability)

    def transformations_from(self, uniforms: tf.Tensor, images: tf.Tensor) -> base.Transformations:
        """Decides who loses colour: `apply`, bool `[batch]`."""
        return {"apply": uniforms[:, 0] < self.probability}

    def augment_images(
        self, images: tf.Tensor, transformations: base.Transformations, **unused: Any
    ) -> tf.Tensor:
        base.check_rgb(images)
        gray = tf.broadcast_to(tf.image.rgb_to_grayscale(images), tf.shape(images))
        return base.switch(transformations["apply"], gray, images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}
