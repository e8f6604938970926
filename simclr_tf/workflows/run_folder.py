"""A run's folder: whose it is, and what is written there besides checkpoints."""

from __future__ import annotations

import dataclasses
import time

import tensorflow as tf

from simclr_tf import data, files
from simclr_tf.run_identity import check_same_run
from simclr_tf.checkpoints.description import FILE_NAME, make_metadata
from simclr_tf.config import Config
from simclr_tf.errors import UserError, first_line

RUNS = "runs"


def choose_model_dir(config: Config) -> Config:
    """Returns `config` with a model_dir that is its own; nothing is written yet.

    Raises:
      UserError: the folder holds another run, or something that is not a run.
    """
    if not config.model_dir:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        dataset = config.dataset.replace("/", "_").replace(":", "_")
        name = f"{config.train_mode}_{dataset}_r{config.resnet_depth}_{stamp}"
        return dataclasses.replace(config, model_dir=files.join(RUNS, name))
    config = dataclasses.replace(config, model_dir=config.model_dir.rstrip("/"))
    stored = stored_config(config.model_dir)
    if stored is not None:
        check_same_run(config, stored)
    elif tf.io.gfile.exists(files.join(config.model_dir, "checkpoint")):
        raise UserError(
            f"--model_dir={config.model_dir} holds checkpoints but no config.json, so they are "
            "not of simclr_tf; give another --model_dir"
        )
    elif tf.io.gfile.exists(config.model_dir) and not tf.io.gfile.isdir(config.model_dir):
        raise UserError(f"--model_dir={config.model_dir} is a file; give a folder")
    return config


def stored_config(model_dir: str) -> dict | None:
    """Returns the config.json of the run in `model_dir`, or None."""
    try:
        return files.read_json(files.join(model_dir, "config.json"))
    except ValueError:
        raise UserError(
            f"--model_dir={model_dir}: config.json is not valid JSON; give another --model_dir"
        ) from None


def note_files(config: Config, dataset: data.ImageDataset) -> None:
    """Writes which files the run learns from, and says if they are not those of its last start.

    A folder may get and lose files while a run is stopped. Those that stay keep their split; the
    number of steps and the order of the images follow the new listing.
    """
    if dataset.fingerprint is None:
        return
    path = files.join(config.model_dir, "folder.json")
    count = sum(dataset.splits.values())
    now = {"files": count, "fingerprint": dataset.fingerprint}
    before = files.read_json(path)
    if before is not None and before["fingerprint"] != now["fingerprint"]:
        print(
            f"--dataset={config.dataset} has changed since this run last started: "
            f"{before['files']:,} files then, {count:,} now; it goes on with those"
        )
    files.write_json(path, now)


def describe_run(config: Config, num_classes: int | None) -> None:
    """Writes config.json (resolved), flags.json (what the user gave) and simclr.json."""
    try:
        tf.io.gfile.makedirs(config.model_dir)
        resolved = config.to_json()
        files.write_json(files.join(config.model_dir, "config.json"), resolved)
        given = {name: resolved[name] for name in sorted(config.explicit)}
        files.write_json(files.join(config.model_dir, "flags.json"), given)
        metadata = make_metadata(config, num_classes=num_classes)
        files.write_json(files.join(config.model_dir, FILE_NAME), metadata)
    except (OSError, tf.errors.OpError) as error:
        reason = first_line(error)
        raise UserError(f"--model_dir={config.model_dir} cannot be written: {reason}") from None
