"""Builds the networks that a configuration asks for."""

from __future__ import annotations

from simclr_tf.config import Config
from simclr_tf.models.classifier import Classifier
from simclr_tf.models.network import Network
from simclr_tf.models.projection_head import ProjectionHead
from simclr_tf.models.resnet import ResNet
from simclr_tf.models.simclr import SimCLR
from simclr_tf.models.supervised_head import SupervisedHead

DECAYING_OPTIMIZERS = ("lars", "lamb", "adamw")


def build_parts(
    config: Config, num_classes: int | None, *, global_bn: bool
) -> tuple[ResNet, ProjectionHead, SupervisedHead | None]:
    """Returns the encoder, the projection head, and a supervised head if `num_classes` is given."""
    encoder = ResNet(
        config.resnet_depth,
        width_multiplier=config.width_multiplier,
        sk_ratio=config.sk_ratio,
        se_ratio=config.se_ratio,
        cifar_stem=config.cifar_stem,
        global_bn=global_bn,
        batch_norm_momentum=config.batch_norm_decay,
        torch_normalization=config.torch_normalization,
        stem_relu=config.stem_relu,
    )
    projection_head = ProjectionHead(
        config.proj_head_mode,
        num_layers=config.num_proj_layers,
        out_dim=config.proj_out_dim,
        global_bn=global_bn,
        batch_norm_momentum=config.batch_norm_decay,
        last_offset=config.torch_normalization is not None,
    )
    head = None
    if num_classes is not None:
        head = SupervisedHead(num_classes, zero_init=config.zero_init_logits_layer)
    return encoder, projection_head, head


def build_trainable(config: Config, num_classes: int | None) -> Network:
    """Returns the network that `config` trains, with all variables created.

    Call it inside the strategy's scope.
    """
    settings = {
        "projection_selector": config.ft_proj_selector,
        "weight_decay": config.weight_decay,
        "decay_in_optimizer": config.optimizer in DECAYING_OPTIMIZERS,
    }
    labelled = not config.pretraining or config.lineareval_while_pretraining
    parts = build_parts(config, num_classes if labelled else None, global_bn=config.global_bn)
    network: Network
    if config.pretraining:
        network = SimCLR(
            *parts, temperature=config.temperature, hidden_norm=config.hidden_norm, **settings
        )
    else:
        network = Classifier(*parts, train_after_block=config.fine_tune_after_block, **settings)
    network.build_for(config.image_size)
    return network


def build_plain(config: Config, num_classes: int | None) -> Network:
    """Returns the same network to look at or export: not trainable across replicas.

    Args:
      config: its architecture.
      num_classes: classes of the supervised head, None for none.
    """
    parts = build_parts(config, num_classes, global_bn=False)
    network = Network(*parts, projection_selector=config.ft_proj_selector)
    network.build_for(config.image_size)
    return network
