"""`simclr.json`: what a checkpoint or SavedModel is, stored beside its weights."""

from __future__ import annotations

from typing import Any

from simclr_tf.config import ARCHITECTURE, Config

FILE_NAME = "simclr.json"
FORMAT = 1


def make_metadata(config: Config, *, num_classes: int | None) -> dict[str, Any]:
    """Returns the JSON-serialisable description of the network that `config` trains.

    Args:
      config: the resolved configuration.
      num_classes: classes of the supervised head, None without one.
    """
    return {
        "format": FORMAT,
        "train_mode": config.train_mode,
        "architecture": {
            **{name: getattr(config, name) for name in ARCHITECTURE},
            "cifar_stem": config.cifar_stem,
        },
        "preprocessing": {"image_size": config.image_size, "value_range": [0.0, 1.0]},
        "supervised_head": (
            None
            if num_classes is None
            else {"num_classes": num_classes, "ft_proj_selector": config.ft_proj_selector}
        ),
        "dataset": config.dataset,
    }
