"""A small network, random in every variable, and its checkpoint."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from simclr_tf import config as config_lib
from simclr_tf.checkpoints import make_metadata, variables_by_path
from simclr_tf.checkpoints.variables import module_of
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from tests.checkpoints.reference_release import value_of


def small_config(**changes) -> config_lib.Config:
    """A ResNet-18 of two channels."""
    settings = {
        "resnet_depth": 18,
        "width_multiplier": 1 / 32,
        "image_size": 16,
        "num_proj_layers": 2,
        "proj_out_dim": 4,
    }
    return dataclasses.replace(config_lib.defaults(), **{**settings, **changes})


def small_network(*, classes: int | None = 3, seed: str = "", **changes) -> Network:
    """Every value follows from the variable's path and `seed`."""
    network = build_plain(small_config(**changes), classes)
    for path, variable in variables_by_path(network.parts).items():
        variable.assign(value_of(f"{seed}{path}", variable.shape.as_list()))
    return network


def save(network: Network, folder: Path, *, classes: int | None = 3, **changes) -> Path:
    """Writes ckpt-7 and simclr.json, as a run does."""
    checkpoint = tf.train.Checkpoint(**network.parts)
    tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1).save(checkpoint_number=7)
    metadata = make_metadata(small_config(**changes), num_classes=classes)
    (folder / "simclr.json").write_text(json.dumps(metadata))
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
