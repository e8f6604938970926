"""A small network, random in every variable, and its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.architecture import Architecture
from simclr_tf.checkpoints import Description, variables_by_path
from simclr_tf.checkpoints.variables import module_of
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from tests.checkpoints.reference_release import value_of


def small_architecture(**changes: Any) -> Architecture:
    """A ResNet-18 of two channels."""
    settings: dict[str, Any] = {
        "resnet_depth": 18,
        "width_multiplier": 1 / 32,
        "num_proj_layers": 2,
        "proj_out_dim": 4,
        "cifar_stem": True,
    }
    return Architecture(**{**settings, **changes})


def small_network(*, classes: int | None = 3, seed: str = "", **changes: Any) -> Network:
    """Every value follows from the variable's path and `seed`."""
    network = build_plain(small_architecture(**changes), classes)
    for path, variable in variables_by_path(network.parts).items():
        variable.assign(value_of(f"{seed}{path}", variable.shape.as_list()))
    return network


def save(network: Network, folder: Path, *, classes: int | None = 3, **changes: Any) -> Path:
    """Writes ckpt-7 and simclr.json, as a run does."""
    checkpoint = tf.train.Checkpoint(**network.parts)
    tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1).save(checkpoint_number=7)
    description = Description(
        small_architecture(**changes),
        16,
        train_mode="pretrain",
        num_classes=classes,
        dataset="imagenet2012",
    )
    (folder / "simclr.json").write_text(json.dumps(description.to_json()))
    return folder


def as_module(variables: dict[str, tf.Variable]) -> tf.Module:
    """Returns an object tree with the variables at their paths, and below `all` a second time.

    The second paths are shorter: TensorFlow files values under those.
    """
    root = module_of(variables)
    root.all = list(variables.values())
    return root


def values_of(network: Network) -> dict[str, np.ndarray]:
    return {path: v.numpy() for path, v in variables_by_path(network.parts).items()}
