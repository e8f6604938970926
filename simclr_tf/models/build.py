"""Builds the parts of a network from what it is."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.architecture import Architecture
from simclr_tf.models.projection_head import ProjectionHead
from simclr_tf.models.resnet import ResNet


def build_encoder(
    architecture: Architecture, *, global_bn: bool = True, batch_norm_momentum: float = 0.9
) -> ResNet:
    """Returns the encoder f."""
    return ResNet(
        architecture.resnet_depth,
        width_multiplier=architecture.width_multiplier,
        sk_ratio=architecture.sk_ratio,
        se_ratio=architecture.se_ratio,
        cifar_stem=architecture.cifar_stem,
        global_bn=global_bn,
        batch_norm_momentum=batch_norm_momentum,
        torch_normalization=architecture.torch_normalization,
        stem_relu=architecture.stem_relu,
        stem_padding=architecture.stem_padding,
    )


def build_projection_head(
    architecture: Architecture, *, global_bn: bool = True, batch_norm_momentum: float = 0.9
) -> ProjectionHead:
    """Returns the projection head g."""
    return ProjectionHead(
        architecture.proj_head_mode,
        num_layers=architecture.num_proj_layers,
        out_dim=architecture.proj_out_dim,
        global_bn=global_bn,
        batch_norm_momentum=batch_norm_momentum,
        last_offset=architecture.torch_normalization is not None,
    )


def complete_parts(
    encoder: Architecture | tf.keras.Model, projection_head: ProjectionHead | None
) -> tuple[tf.keras.Model, ProjectionHead]:
    """Returns encoder and projection head, built where they were described or left out.

    Args:
      encoder: described, or any Keras model.
      projection_head: None makes that of the description, or SimCLRv2's.

    Raises:
      SettingError: the description cannot be; TypeError: `encoder` is something else.
    """
    if isinstance(encoder, Architecture):
        encoder.check()
        return build_encoder(encoder), projection_head or build_projection_head(encoder)
    if not isinstance(encoder, tf.keras.layers.Layer):
        raise TypeError(
            f"encoder={encoder!r} is neither an Architecture nor a tf.keras model (of Keras 2, "
            "which `import simclr_tf` chooses where it comes first)"
        )
    return encoder, projection_head or ProjectionHead()
