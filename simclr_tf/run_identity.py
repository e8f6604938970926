"""Where what is asked meets what is stored: a checkpoint's architecture, a run's configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from simclr_tf.config import ARCHITECTURE, Config
from simclr_tf.errors import UserError

# What may change when a run is continued; everything else makes it another run.
NOT_IDENTITY = frozenset(
    "mode model_dir data_dir on_bad_image eval_split eval_batch_size eval_steps eval_name "
    "label_fractions augment_on checkpoint_epochs checkpoint_steps keep_checkpoint_max "
    "keep_hub_module_max train_summary_steps strategy num_virtual_devices steps_per_loop "
    "jit_compile use_tpu tpu_name tpu_zone gcp_project master "
    "export_precision format allow_partial_checkpoint explicit".split()
)


def adopt_architecture(
    config: Config, stored: Mapping[str, Any]
) -> tuple[Config, dict[str, tuple[Any, Any]]]:
    """Returns `config` with a checkpoint's architecture and image size, but for what the user gave.

    Args:
      config: what was asked.
      stored: the checkpoint's metadata, with `architecture` and `preprocessing`.

    Returns:
      The configuration, and what the user gave that contradicts the checkpoint: by the name of
      the flag, what is asked and what is stored.
    """
    architecture = stored["architecture"]
    taken: dict[str, Any] = {}
    contradicted: dict[str, tuple[Any, Any]] = {}
    for name in ARCHITECTURE:
        asked = getattr(config, name)
        if name in config.explicit and asked != architecture[name]:
            contradicted[name] = (asked, architecture[name])
        else:
            taken[name] = architecture[name]
    if "image_size" not in config.explicit:
        taken["image_size"] = stored["preprocessing"]["image_size"]
    asked_for = dataclasses.replace(config, **taken)
    if asked_for.cifar_stem != architecture["cifar_stem"]:
        contradicted["image_size"] = (config.image_size, stored["preprocessing"]["image_size"])
    return asked_for, contradicted


def check_projection_selector(config: Config) -> None:
    """Raises UserError where `ft_proj_selector` names a layer that the projection head lacks."""
    layers = {"none": 0, "linear": 1, "nonlinear": config.num_proj_layers}[config.proj_head_mode]
    if not -1 <= config.ft_proj_selector <= layers:
        raise UserError(
            f"--ft_proj_selector={config.ft_proj_selector} must be -1 to {layers}, the number of "
            "layers of the projection head"
        )


def adopt_run(config: Config, stored: Mapping[str, Any]) -> Config:
    """Returns `config` with the identity of the run that `model_dir` holds (for --mode=eval).

    Raises:
      UserError: a flag that the user gave contradicts the run.
    """
    check_same_run(config, stored, only=config.explicit)
    identity = {k: v for k, v in stored.items() if k not in NOT_IDENTITY}
    return dataclasses.replace(config, **identity)


def check_same_run(
    config: Config, stored: Mapping[str, Any], only: frozenset[str] | None = None
) -> None:
    """Raises UserError where the run in `model_dir` was configured otherwise.

    Args:
      config: what was asked.
      stored: the run's config.json.
      only: the fields to compare; all that make a run's identity if None.
    """
    for name, here in config.to_json().items():
        if name in NOT_IDENTITY or (only is not None and name not in only):
            continue
        if name in stored and stored[name] != here:
            raise UserError(
                f"--model_dir={config.model_dir} holds a run with {name}={stored[name]}, not "
                f"{here}; give the same flags to continue it, or another --model_dir"
            )
