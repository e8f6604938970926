"""Where what is asked meets what is stored: a checkpoint's network, a run's configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from typing import Any

from simclr_tf import flag_definitions, validation
from simclr_tf.architecture import Architecture
from simclr_tf.config import Config, from_json
from simclr_tf.data.folder import PREFIX
from simclr_tf.errors import SettingError, UserError
from simclr_tf.runs import moved
from simclr_tf.runs.defaults import FROM_DATA

# What may change when a run is continued; everything else makes it another run.
NOT_IDENTITY = frozenset(row.name for row in flag_definitions.rows() if not row.identity)
# Of these, what evaluation takes from the run where it is not given.
_MEASURED_BY = (
    "data_dir",
    "on_bad_image",
    "eval_dataset",
    "eval_split",
    "eval_batch_size",
    "eval_steps",
)
# By what health is measured.
_HEALTH = (
    *("min_crop_area", "color_jitter_strength", "use_blur"),
    *("temperature", "hidden_norm", "train_batch_size"),
)
# What says nothing of another data set than the run's.
_OF_THE_DATASET = ("data_dir", "folder_labels", "train_split", "eval_dataset", "eval_split")
# What makes a run's identity, and earlier versions did not write down because it was always so.
_ALWAYS_WAS = {
    **{"labels_per_class": 0, "micro_batch_size": 0, "loss": "nt_xent"},
    "min_crop_area": 0.08,
    **{"teacher": None, "distill_temperature": 1.0, "distill_weight": 1.0},
}
GIVEN = "flags.json"
_LENGTH = ("train_epochs", "train_steps")


def adopt_network(
    config: Config, architecture: Architecture, image_size: int
) -> tuple[Config, dict[str, tuple[Any, Any]]]:
    """Returns `config` with a checkpoint's architecture and image size, but for what was given.

    Args:
      config: what was asked.
      architecture: the checkpoint's.
      image_size: on which the checkpoint was trained.

    Returns:
      The configuration, and what was given that contradicts the checkpoint: by the name of the
      setting, what is asked and what is stored.
    """
    stored = vars(architecture)
    asked = vars(config.architecture)
    taken: dict[str, Any] = {}
    contradicted: dict[str, tuple[Any, Any]] = {}
    for name in stored.keys() - {"cifar_stem"}:
        if name in config.given and asked[name] != stored[name]:
            contradicted[name] = (asked[name], stored[name])
        else:
            taken[name] = stored[name]
    if "image_size" not in config.given:
        taken["image_size"] = image_size
    adopted = config.replace(**taken)
    if adopted.architecture.cifar_stem != architecture.cifar_stem:
        contradicted["image_size"] = (config.data.image_size, image_size)
    return adopted, contradicted


def adopt_run(config: Config, stored: Mapping[str, Any]) -> Config:
    """Returns `config` for evaluating the run that `model_dir` holds: what is not given is its own.

    Args:
      config: what was asked.
      stored: the run's config.json.

    Raises:
      UserError: a flag that was given contradicts the run, or the file holds what cannot be.
    """
    config = _find_labels(config, stored)
    # Labels that are given beside a data set to be evaluated on are of that.
    of_others = {"folder_labels"} if "eval_dataset" in config.given else set()
    check_same_run(config, stored, only=config.given - of_others)
    names = config.flat().keys() - NOT_IDENTITY | set(_MEASURED_BY)
    return _take_stored(config, stored, names - config.given | _left_open(config))


def adopt_probed_run(config: Config, stored: Mapping[str, Any]) -> tuple[Config, bool]:
    """Returns `config` for probing the run that `model_dir` holds: what is not given is its own.

    Labels and pictures may be others than those that it was trained on.

    Args:
      config: what was asked.
      stored: the run's config.json.

    Returns:
      The configuration, and whether its data set is the run's.

    Raises:
      UserError: the file holds what cannot be.
    """
    names = {"dataset", "seed", *_HEALTH, *_MEASURED_BY, *_OF_THE_DATASET}
    now, before = config.data.dataset, stored.get("dataset")
    same = "dataset" not in config.given or now == before
    same = same or moved.is_same("dataset", before, now, config.task.model_dir)
    if not same:
        names -= set(_OF_THE_DATASET)
    return _find_labels(_take_stored(config, stored, names - config.given), stored), same


def as_stored(config: Config, stored: Mapping[str, Any]) -> Config:
    """Returns the configuration of the run that `model_dir` holds, and nothing of what was asked.

    Args:
      config: whose `model_dir` it is; the run may have moved.
      stored: the run's config.json.

    Raises:
      UserError: the file holds what cannot be.
    """
    nothing = dataclasses.replace(config, given=frozenset())
    return _take_stored(nothing, stored, config.flat().keys() - {"model_dir"})


def _find_labels(config: Config, stored: Mapping[str, Any]) -> Config:
    given = "dataset" in config.given
    return moved.find_labels(config, config.data.dataset if given else stored.get("dataset", ""))


def adopt_initial_weights(config: Config, stored: Mapping[str, Any]) -> Config:
    """Returns `config` for going on with a run that needs its initial `checkpoint` no longer.

    What came from there is the run's own: the network, and the name of the checkpoint.

    Args:
      config: what was asked.
      stored: the run's config.json.

    Raises:
      UserError: the file holds what cannot be.
    """
    network = vars(config.architecture).keys() - {"cifar_stem"}
    return _take_stored(config, stored, {*network, "image_size", "checkpoint"} - config.given)


def adopt_from_data(config: Config, stored: Mapping[str, Any]) -> Config:
    """Returns `config` for going on with a run: what data and devices decided is the run's own.

    Args:
      config: what was asked; `check_same_run` has passed it.
      stored: the run's config.json.

    Raises:
      UserError: the file holds what cannot be.
    """
    return _take_stored(config, stored, FROM_DATA | _left_open(config))


def _left_open(config: Config) -> Set[str]:
    """Returns what the devices decide: `auto` says what a run that has begun has chosen."""
    settings = {
        "precision": config.hardware.precision,
        "micro_batch_size": config.optimization.micro_batch_size,
    }
    return {name for name, value in settings.items() if value == "auto"}


def _take_stored(config: Config, stored: Mapping[str, Any], names: Set[str]) -> Config:
    try:
        settings = from_json(stored, config)
        adopted = config.replace(**{name: settings[name] for name in names & settings.keys()})
        validation.check(adopted)
    except SettingError as error:
        if error.field in config.given:
            raise
        raise UserError(
            f"`model_dir={config.task.model_dir}`: config.json says {error.field}={error.value}, "
            "which cannot be; it is damaged, or of another version of simclr_tf"
        ) from None
    return adopted


def check_same_run(
    config: Config, stored: Mapping[str, Any], only: frozenset[str] | None = None
) -> None:
    """Raises SettingError where the run in `model_dir` was configured otherwise.

    Paths of one place are the same, and so are others where the same content lies now. Of what the
    data have decided, what was given counts.

    Args:
      config: what was asked.
      stored: the run's config.json.
      only: the settings to compare; all that make a run's identity if None.
    """
    folder = config.task.model_dir
    skipped = NOT_IDENTITY | _left_open(config)
    if not str(stored.get("dataset", PREFIX)).startswith(PREFIX):
        skipped |= {"folder_labels"}  # of `eval_dataset` alone
    given = moved.read(folder, GIVEN)
    for name, here in config.to_json().items():
        if name in skipped or (only is not None and name not in only):
            continue
        before = stored.get(name, _ALWAYS_WAS.get(name, here))
        if name in FROM_DATA:
            if name not in config.given and name not in given:
                continue
            before = given.get(name, before)
        if before != here and not moved.is_same(name, before, here, folder):
            remedy = "give the same flags to continue it, or another `model_dir`"
            if name == "dataset" and only is not None:
                remedy = f"to evaluate on other pictures, `eval_dataset={here}`"
            if name in _LENGTH:
                remedy = (
                    "the learning rate follows from the length: give the same to continue it, or, "
                    f"to train longer, `checkpoint={folder}` and another `model_dir`"
                )
            raise SettingError(
                "model_dir", folder, f"holds a run with {name}={before}, not {here}", remedy
            )
