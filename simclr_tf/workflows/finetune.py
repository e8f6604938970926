"""Fine-tuning and linear evaluation: a pre-trained encoder and labels in, a classifier out."""

from __future__ import annotations

from simclr_tf.run_identity import check_projection_selector
from simclr_tf.augmentation import SupervisedView
from simclr_tf.config import Config
from simclr_tf.workflows.initial_weights import open_checkpoint
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
    config, source = open_checkpoint(config)
    check_projection_selector(config)
    train(
        open_session(config),
        views=SupervisedView(config.image_size),
        source=source,
    )
