"""What the data decide: a batch that they fill, and fine-tuning's defaults."""

from __future__ import annotations

import math
from typing import Any

from simclr_tf.config import Config
from simclr_tf.errors import SettingError

FROM_DATA = frozenset(
    ("train_batch_size", "train_epochs", "optimizer", "learning_rate", "learning_rate_scaling")
    + ("warmup_epochs", "weight_decay")
)
"""Settings that may get another value than the command's or the flags' own."""

_RULE = frozenset(("optimizer", "learning_rate", "learning_rate_scaling"))

# SimCLR, appendices B.5 and B.6: SGD with Nesterov momentum, no warm-up, no weight decay, and rates
# of 0.8 and, in linear evaluation, 1.6 for batches of 4,096. From there they go down with the root
# of the batch: linearly they would be 0.003 and 0.006 for 16 images (docs/recipes.md compares).
_RATE, _LINEAR_RATE = 0.8 / 4096**0.5, 1.6 / 4096**0.5
_LINEAR_EPOCHS = 90
_EPOCHS = {50_000: 60, math.inf: 30}  # below so many images; 1% and 10% of ImageNet's
# With batches of 4,096 that is 188 steps for 1% of ImageNet's labels; fewer images than there need
# as many steps, and an epoch of more than one.
_BATCHES_AN_EPOCH = 8
_LEAST_BATCH, _MOST_BATCH = 16, 64
_LEAST_STEPS = 300


def fit_to_data(config: Config, *, examples: int, replicas: int) -> tuple[Config, list[str]]:
    """Gives a new run the settings that follow from its data.

    Args:
      config: what was asked.
      examples: images that are learned from.
      replicas: that share a batch.

    Returns:
      The configuration, and what is to be said of it, a line each.

    Raises:
      SettingError: there are too few images.
    """
    if config.task.train_mode == "finetune" and config.task.checkpoint:
        config = _finetuning_defaults(config, examples, replicas)
    batch = config.optimization.train_batch_size
    if batch <= examples:
        return config, []
    most = examples // replicas * replicas
    least = 2 if config.task.pretraining else 1
    if most < least:
        needed = max(least, replicas)
        why = f"{replicas} replicas" if needed > least else "a negative pair"
        raise SettingError(
            "train_split",
            config.data.train_split,
            f"has {examples:,} image{'s' * (examples != 1)}, and {why} takes {needed}",
            "give more",
        )
    said = f"train_batch_size is {most:,}, not {batch:,}: there are {examples:,} images"
    return config.replace(train_batch_size=most), [said]


def _finetuning_defaults(config: Config, examples: int, replicas: int) -> Config:
    """Returns `config` with what is not given as the papers have it for few labels.

    Optimizer, learning rate and scaling belong together: where one is given, all are as asked.
    """
    given = config.given
    linear = config.finetuning.fine_tune_after_block == 4
    batch = config.optimization.train_batch_size
    if "train_batch_size" not in given:
        # The power of two below an eighth of the images.
        wanted = 1 << max(1, examples // _BATCHES_AN_EPOCH).bit_length() - 1
        batch = min(max(wanted, _LEAST_BATCH), _MOST_BATCH)
        batch = max(batch // replicas, 1) * replicas
    chosen: dict[str, Any] = {"train_batch_size": batch, "warmup_epochs": 0.0, "weight_decay": 0.0}
    if not given & _RULE:
        rate = _LINEAR_RATE if linear else _RATE
        chosen |= {"optimizer": "momentum", "learning_rate": rate, "learning_rate_scaling": "sqrt"}
    if not given & {"train_epochs", "train_steps"}:
        epochs = next(epochs for below, epochs in _EPOCHS.items() if examples < below)
        epochs = _LINEAR_EPOCHS if linear else epochs
        chosen["train_epochs"] = max(epochs, math.ceil(_LEAST_STEPS * batch / examples))
    return config.replace(**{name: v for name, v in chosen.items() if name not in given})
