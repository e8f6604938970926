"""Fine-tuning and linear evaluation: a pre-trained encoder and labels in, a classifier out."""

from __future__ import annotations

from simclr_tf.augmentation import SupervisedView
from simclr_tf.checkpoints import find_source
from simclr_tf.config import Config, adopt_architecture, check_projection_selector
from simclr_tf.workflows.session import open_session
from simclr_tf.workflows.training import train


def finetune(config: Config) -> None:
    """Trains a classifier, and what is not frozen of the network under it, and exports both.

    Args:
      config: what was asked. Without `checkpoint` the network is trained from scratch, the
        supervised baseline.

    Raises:
      UserError: bad input.
    """
    source = find_source(config.checkpoint) if config.checkpoint else None
    if source:
        config = adopt_architecture(config, source.metadata, f"--checkpoint={config.checkpoint}")
    else:
        check_projection_selector(config)
    train(
        open_session(config),
        views=SupervisedView(config.image_size),
        source=source,
    )
