"""`simclr.json`: what a checkpoint or SavedModel is, stored beside its weights."""

from __future__ import annotations

import math
from typing import Any

from simclr_tf.checkpoints.infer_architecture import Shapes, contradictions
from simclr_tf.config import ARCHITECTURE, RESNET_DEPTHS, Config
from simclr_tf.errors import UserError

FILE_NAME = "simclr.json"
FORMAT = 2  # 1, which is read too, has no torch_normalization and no stem_relu
READABLE = (1, FORMAT)


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


def check_metadata(content: Any, shapes: Shapes, path: str) -> dict[str, Any]:
    """Returns the content of a simclr.json in the current format.

    Args:
      content: what the file holds.
      shapes: of the variables beside it, by path.
      path: of the file, for messages.

    Raises:
      UserError: it is of another format, says nothing sensible, or describes other variables.
    """
    if not isinstance(content, dict) or content.get("format") not in READABLE:
        found = content.get("format") if isinstance(content, dict) else None
        raise UserError(
            f"{path} has format {found}, this version of simclr_tf reads formats "
            f"{' and '.join(map(str, READABLE))}; update simclr_tf, or train again"
        )
    architecture = content.get("architecture")
    architecture = architecture if isinstance(architecture, dict) else {}
    if content["format"] == 1:
        architecture = {**architecture, "torch_normalization": None, "stem_relu": True}
    for name in (*ARCHITECTURE, "cifar_stem"):
        if not _sensible(name, architecture.get(name)):
            raise _unlikely(path, name, architecture.get(name, "nothing"))
    if not (architecture["stem_relu"] or architecture["cifar_stem"]):
        raise _unlikely(path, "stem_relu", False)
    preprocessing = content.get("preprocessing")
    size = preprocessing.get("image_size") if isinstance(preprocessing, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 4096:
        raise _unlikely(path, "image_size", size)
    for problem in contradictions(architecture, shapes):
        raise UserError(f"{path} says {problem}; it is not of these weights, copy both again")
    if architecture["torch_normalization"] is not None:
        architecture["torch_normalization"] = tuple(architecture["torch_normalization"])
    return {**content, "format": FORMAT, "architecture": architecture}


def _sensible(name: str, value: Any) -> bool:
    if name == "resnet_depth":
        return _is_int(value) and value in RESNET_DEPTHS
    if name == "proj_head_mode":
        return value in ("none", "linear", "nonlinear")
    if name in ("cifar_stem", "stem_relu"):
        return isinstance(value, bool)
    if name == "torch_normalization":
        return value is None or (
            isinstance(value, list)
            and len(value) == 6
            and all(map(_is_number, value))
            and min(value[3:]) > 0
        )
    if name in ("proj_out_dim", "num_proj_layers"):
        return _is_int(value) and value >= 1
    if name == "width_multiplier":
        return _is_number(value) and 0 < value < 100
    return _is_number(value) and 0 <= value <= 1  # sk_ratio, se_ratio


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _unlikely(path: str, name: str, value: Any) -> UserError:
    shown = str(value)[:40]
    return UserError(f"{path} says {name}={shown}, which cannot be; it is damaged, copy it again")
