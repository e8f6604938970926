"""A run's folder: whose it is, and what is written there besides checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from simclr_tf import data, files
from simclr_tf.checkpoints import StoredWeights, numbered
from simclr_tf.checkpoints.description import FILE_NAME, Description
from simclr_tf.config import Config
from simclr_tf.errors import RunFailed, SettingError, first_line
from simclr_tf.runs import moved
from simclr_tf.runs.identity import GIVEN, check_same_run
from simclr_tf.runs.plan import Plan, total_steps

RUNS = "runs"
PLAN = "plan.json"


def choose_model_dir(config: Config) -> Config:
    """Returns `config` with a model_dir that is its own; nothing is written yet.

    Raises:
      SettingError: the folder holds another run, or something that is not a run.
    """
    config = moved.find_labels(config, config.data.dataset)
    folder = config.task.model_dir
    if not folder:
        dataset = data.short_name(config.data.dataset)
        return config.replace(
            model_dir=new_folder(f"{config.task.train_mode}_{dataset}_{config.architecture.name}")
        )
    stored = stored_config(folder)
    if stored is not None:
        check_same_run(config, stored)
    elif holds_checkpoint(folder) or tf.io.gfile.exists(files.join(folder, "checkpoint")):
        raise SettingError(
            "model_dir",
            folder,
            "holds checkpoints but no config.json, so they are not of simclr_tf",
            "give another `model_dir`",
        )
    else:
        check_is_no_file(folder)
    return config


def new_folder(name: str) -> str:
    """Returns a folder under `runs/` for something new.

    Nothing is written yet, so a number drawn from the system's source of randomness keeps runs that
    start in the same second apart.
    """
    safe = re.sub(r"[^\w.-]", "_", name)
    return files.join(RUNS, f"{safe}_{time.strftime('%Y%m%d-%H%M%S')}_{secrets.token_hex(4)}")


def check_is_no_file(folder: str, field: str = "model_dir") -> None:
    """Raises SettingError where a folder that a setting names is a file."""
    if tf.io.gfile.exists(folder) and not tf.io.gfile.isdir(folder):
        raise SettingError(field, folder, "is a file", "give a folder")


def check_writable(folder: str, field: str = "model_dir") -> None:
    """Makes a folder and writes into it, before long work whose result goes there.

    Args:
      folder: to write into.
      field: the setting that names it.

    Raises:
      SettingError: it is a file, or cannot be written.
    """
    check_is_no_file(folder, field)
    path = files.join(folder, "writable.tmp")
    try:
        tf.io.gfile.makedirs(folder)
        files.write_text(path, "")
        tf.io.gfile.remove(path)
    except (OSError, tf.errors.OpError) as error:
        raise cannot_be_written(folder, error, field) from None


def stored_config(model_dir: str) -> dict[str, Any] | None:
    """Returns the config.json of the run in `model_dir`, or None."""
    try:
        stored = files.read_json(files.join(model_dir, "config.json"))
    except ValueError:
        stored = ()
    if stored is None or isinstance(stored, dict):
        return stored
    raise SettingError(
        "model_dir",
        model_dir,
        ": config.json is not valid JSON, or not a run's",
        "give another `model_dir`",
    )


def note_files(config: Config, dataset: data.ImageDataset) -> None:
    """Writes which files the run learns from, and says if they are not those of its last start.

    A folder may get and lose files, or labels where only labeled images are learned from, while a
    run is stopped. Those that stay keep their split; the number of steps and the order of the
    images follow the new listing.
    """
    if dataset.fingerprint is None:
        return
    path = files.join(config.task.model_dir, moved.PICTURES)
    count = dataset.num_examples("all")  # of the labeled ones, where only they are learned from
    now = {"files": count, "fingerprint": dataset.fingerprint}
    before = files.read_json(path)
    if before is not None and any(before[name] != value for name, value in now.items()):
        print(
            f"{dataset.name} has changed since this run last started: {before['files']:,} files "
            f"then, {count:,} now; it goes on with those, in another order"
        )
    more = {
        "split_folders": dataset.split_folders,
        "labels_sha256": moved.labels_sha256(config.data.folder_labels),
    }
    files.write_json(path, {**now, **more})


def stored_network(model_dir: str) -> Description | None:
    """Returns what the run in `model_dir` says of its network, None if it says nothing.

    Raises:
      UserError: simclr.json is damaged, or of a newer version.
    """
    path = files.join(model_dir, FILE_NAME)
    try:
        content = files.read_json(path)
    except (ValueError, RecursionError):
        raise SettingError(
            "model_dir", model_dir, f": {FILE_NAME} is not valid JSON", "copy it again"
        ) from None
    return None if content is None else Description.from_json(content, shapes=None, path=path)


def holds_checkpoint(model_dir: str) -> bool:
    """Says whether a file of a checkpoint lies in `model_dir`, whole or not."""
    return not numbered.is_empty(model_dir)


def describe_network(
    config: Config, num_classes: int | None, dataset: data.ImageDataset
) -> Description:
    """Returns what simclr.json says of the network that `config` trains.

    Args:
      config: the resolved configuration.
      num_classes: classes of its supervised head, None without one.
      dataset: that it is trained on, with classes by the numbers that the head gives them.
    """
    names = None if num_classes is None else dataset.class_names
    return Description(
        config.architecture,
        config.data.image_size,
        train_mode=config.task.train_mode,
        num_classes=num_classes,
        projection_selector=config.finetuning.ft_proj_selector,
        dataset=config.data.dataset,
        class_names=None if names is None else tuple(names),
        pixel_rule=dataset.pixel_rule,
    )


def write_description(
    config: Config,
    plan: Plan,
    network: Description,
    weights: StoredWeights | None,
    *,
    asked: Config,
) -> None:
    """Writes flags.json (what was given), plan.json, simclr.json and config.json (resolved).

    Args:
      config: the resolved configuration.
      plan: its derived numbers.
      network: what is trained.
      weights: initial ones, noted too; None leaves what an earlier start has noted.
      asked: the configuration before data had their say.

    Raises:
      SettingError: the folder cannot be written.
    """
    folder = config.task.model_dir
    resolved, values = config.to_json(), asked.to_json()
    given = {name: values[name] for name in sorted(asked.given)}
    try:
        tf.io.gfile.makedirs(folder)
        files.write_json(files.join(folder, GIVEN), given)
        files.write_json(files.join(folder, PLAN), dataclasses.asdict(plan))
        if weights is not None:
            moved.note_initial_weights(folder, weights)
        files.write_json(files.join(folder, FILE_NAME), network.to_json())
        # Last: who follows a run takes the folder for one as soon as this is there.
        files.write_json(files.join(folder, "config.json"), resolved)
    except (OSError, tf.errors.OpError) as error:
        raise cannot_be_written(folder, error) from None


@contextlib.contextmanager
def writing(folder: str, what: str, field: str = "model_dir") -> Iterator[None]:
    """While it is open, `what` is written into a folder, at the end of long work.

    Args:
      folder: to write into.
      what: in words, with what would be lost.
      field: the setting that names the folder.

    Raises:
      RunFailed: it cannot be written.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise RunFailed(
            f"`{field}={folder}`: {what} cannot be written ({first_line(error)}); make room or "
            "mend the folder, and the same command does it again"
        ) from error


def stored_plan(model_dir: str) -> dict[str, Any]:
    """Returns the plan.json of the run in `model_dir`, empty where there is none."""
    return files.read_json(files.join(model_dir, PLAN)) or {}


def planned_steps(config: Config, open_training: Callable[[], data.ImageDataset]) -> int:
    """Returns the step at which the run in `model_dir` ends.

    Runs of version 0.1 did not write it down; theirs is computed again from the training split.

    Args:
      config: the run's.
      open_training: opens the data set that it was trained on.
    """
    stored = stored_plan(config.task.model_dir)
    if stored:
        return int(stored["train_steps"])
    length = config.optimization
    examples = 0
    if not length.train_steps:
        examples = open_training().num_examples(config.data.train_split)
    return total_steps(length.train_steps, length.train_epochs, examples, length.train_batch_size)


def cannot_be_written(folder: str, error: Exception, field: str = "model_dir") -> SettingError:
    """Returns the error to raise where the folder that a setting names refused a file."""
    return SettingError(field, folder, f"cannot be written: {first_line(error)}")
