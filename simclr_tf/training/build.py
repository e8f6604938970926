"""Builds a network from what it is."""

from __future__ import annotations

from simclr_tf.architecture import Architecture
from simclr_tf.models import SupervisedHead, build_encoder, build_projection_head
from simclr_tf.training.network import Network


def build_plain(
    architecture: Architecture,
    num_classes: int | None = None,
    *,
    projection_selector: int = 0,
    batch_norm_momentum: float = 0.9,
) -> Network:
    """Returns the network to look at or export: not trainable across replicas.

    Args:
      architecture: what it is.
      num_classes: classes of the supervised head, None for none.
      projection_selector: which layer the supervised head reads; see `Network`.
      batch_norm_momentum: what fine-tuning a SavedModel of it keeps of moving statistics a step.
    """
    momentum = batch_norm_momentum
    return Network(
        build_encoder(architecture, global_bn=False, batch_norm_momentum=momentum),
        build_projection_head(architecture, global_bn=False, batch_norm_momentum=momentum),
        None if num_classes is None else SupervisedHead(num_classes),
        projection_selector=projection_selector,
    )
