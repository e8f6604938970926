"""Contrastive pre-training: images without labels in, an encoder out."""

from __future__ import annotations

from simclr_tf.augmentation import SimCLRViews
from simclr_tf.checkpoints import find_source
from simclr_tf.config import Config, adopt_architecture
from simclr_tf.workflows.session import open_session
from simclr_tf.workflows.training import train


def pretrain(config: Config) -> None:
    """Trains an encoder and projection head by SimCLR and exports them.

    Args:
      config: what was asked. With `checkpoint`, encoder and projection head start from there.

    Raises:
      UserError: bad input.
    """
    source = find_source(config.checkpoint) if config.checkpoint else None
    if source:
        config = adopt_architecture(config, source.metadata, f"--checkpoint={config.checkpoint}")
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
