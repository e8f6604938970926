"""Contrastive pre-training: images without labels in, an encoder out."""

from __future__ import annotations

from simclr_tf.augmentation import SimCLRViews
from simclr_tf.config import Config
from simclr_tf.workflows.initial_weights import open_checkpoint
from simclr_tf.workflows.session import open_session
from simclr_tf.workflows.training import train


def pretrain(config: Config) -> None:
    """Trains an encoder and projection head by SimCLR and exports them.

    Args:
      config: what was asked. With `checkpoint`, encoder and projection head start from there.

    Raises:
      UserError: bad input.
    """
    config, source = open_checkpoint(config)
    train(
        open_session(config),
        views=contrastive_views(config),
        source=source,
    )


def contrastive_views(config: Config) -> SimCLRViews:
    """Returns what makes the two views that `config` asks for."""
    return SimCLRViews(
        config.image_size,
        color_jitter_strength=config.color_jitter_strength,
        use_blur=config.use_blur,
    )
