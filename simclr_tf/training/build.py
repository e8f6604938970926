"""Builds networks from what they are."""

from __future__ import annotations

from simclr_tf.architecture import Architecture
from simclr_tf.models.projection_head import ProjectionHead
from simclr_tf.models.resnet import ResNet
from simclr_tf.models.supervised_head import SupervisedHead
from simclr_tf.training.network import Network


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


def build_plain(
    architecture: Architecture,
    num_classes: int | None = None,
    *,
    projection_selector: int = 0,
    batch_norm_momentum: float = 0.9,
) -> Network:
    """Returns the network to look at or export, with all variables: not trainable across replicas.

    Args:
      architecture: what it is.
      num_classes: classes of the supervised head, None for none.
      projection_selector: which layer the supervised head reads; see `Network`.
      batch_norm_momentum: what fine-tuning a SavedModel of it keeps of moving statistics a step.
    """
    momentum = batch_norm_momentum
    network = Network(
        build_encoder(architecture, global_bn=False, batch_norm_momentum=momentum),
        build_projection_head(architecture, global_bn=False, batch_norm_momentum=momentum),
        None if num_classes is None else SupervisedHead(num_classes),
        projection_selector=projection_selector,
    )
    network.create_variables()
    return network
