"""What training asks of an encoder, ours or any other Keras model."""

from __future__ import annotations

import inspect

import tensorflow as tf

from simclr_tf.models.blocks import mean_over_space
from simclr_tf.models.resnet import ResNet


def endpoints(
    encoder: tf.keras.layers.Layer, images: tf.Tensor, training: bool | None = None
) -> dict[str, tf.Tensor]:
    """Returns what an encoder computes on its way to the features, and these as `final_avg_pool`.

    Args:
      encoder: a ResNet of this package, of which all is known; or any Keras layer or model that
        makes [batch, dim], or [batch, height, width, channels], which is averaged over space.
      images: float [batch, h, w, 3] in [0, 1].
      training: whether batch normalization uses, and updates from, the batch's statistics.

    Raises:
      TypeError, ValueError: the encoder makes something else.
    """
    if isinstance(encoder, ResNet):
        return encoder.endpoints(images, training=training)
    known = inspect.signature(encoder.call).parameters  # a user's own may not ask for `training`
    asks = "training" in known or any(p.kind is p.VAR_KEYWORD for p in known.values())
    output = encoder(images, training=training) if asks else encoder(images)
    if not tf.is_tensor(output):
        raise TypeError(
            f"encoder={encoder.name} returns a {type(output).__name__}, not one tensor; give a "
            "model that returns features alone"
        )
    if output.shape.rank == 4:
        output = mean_over_space(output)
    if output.shape.rank != 2:
        raise ValueError(
            f"encoder={encoder.name} returns {output.shape}, neither [batch, dim] nor [batch, "
            "height, width, channels]; add a layer that pools"
        )
    return {"final_avg_pool": output}


def freeze(encoder: tf.keras.layers.Layer, after_block: int) -> None:
    """Freezes a part of an encoder, as `ResNet.freeze` does; of another one, nothing or all.

    Raises:
      ValueError: it has no such part.
    """
    if isinstance(encoder, ResNet):
        encoder.freeze(after_block)
    elif after_block == 4:
        encoder.trainable = False
    elif after_block != -1:
        raise ValueError(
            f"train_after_block={after_block} needs the block groups of a ResNet, and "
            f"encoder={encoder.name} is none; give -1 to train all of it, or 4 to train none"
        )
