"""Looks at a SavedModel before anything loads it: could it do more than compute?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from simclr_tf import compat, files
from simclr_tf.checkpoints.operations import doubtful_operations
from simclr_tf.checkpoints.reader import errors_naming
from simclr_tf.errors import SettingError

MODEL = "saved_model.pb"
"""Without it a folder is no SavedModel."""

_VARIABLES = "/variables/variables"
_SHOWN = 8


def check_harmless(path: str, prefix: str, *, setting: str = "checkpoint") -> None:
    """Raises SettingError if the SavedModel around a checkpoint could do more than compute.

    Nothing of it is run or loaded here, or wherever weights are read. But a model that is named as
    `checkpoint` is one that its user means to load and serve.

    Args:
      path: as the user named it.
      prefix: of the checkpoint; one that is not of a SavedModel holds numbers alone, and passes.
      setting: that named it, for errors.

    Raises:
      UserError: it could, or its files are damaged.
    """
    if not prefix.endswith(_VARIABLES):
        return
    folder = prefix.removesuffix(_VARIABLES)
    found = sorted(_doubts(folder))
    if found:
        shown = ", ".join(map(_shown, found[:_SHOWN]))
        rest = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise SettingError(
            setting,
            path,
            "holds what weights do not need, and what could use files, network or Python if it "
            f"were loaded: {shown}{rest}",
            "if you trust who made it, add `trust_checkpoint`",
        )


def _doubts(folder: str) -> set[str]:
    found = set()
    # TensorFlow takes them for the model where they are, or where there is no saved_model.pb.
    for name in ("saved_model.cpb", "saved_model.pbtxt"):
        if tf.io.gfile.exists(files.join(folder, name)):
            found.add(f"{name}, which is not read here")
    model = files.join(folder, MODEL)
    if tf.io.gfile.exists(model):
        saved = _parse(model, saved_model_pb2.SavedModel())
        for graph in saved.meta_graphs:
            with errors_naming(model):
                found |= doubtful_operations(graph)
            found.update(_outside(asset.filename) for asset in graph.asset_file_def)
            nodes = graph.object_graph_def.nodes
            found.update(_python_layers(model, [node.user_object.metadata for node in nodes]))
    metadata = files.join(folder, "keras_metadata.pb")
    if tf.io.gfile.exists(metadata):
        nodes = _parse(metadata, compat.keras_metadata()).nodes
        found.update(_python_layers(metadata, [node.metadata for node in nodes]))
    return found - {""}


def _shown(name: str) -> str:
    """Returns a stranger's text as it may be printed."""
    return "".join(c if c.isprintable() and c != "`" else "?" for c in name[:100])


def _parse(path: str, message: Any) -> Any:
    with errors_naming(path), tf.io.gfile.GFile(path, "rb") as file:
        message.ParseFromString(file.read())
    return message


def _outside(asset: str) -> str:
    inside = not asset.startswith("/") and ".." not in asset.split("/") and "://" not in asset
    return "" if inside else f"the asset {asset}"


def _python_layers(path: str, texts: list[str]) -> Iterator[str]:
    """Yields the layers that Keras makes of Python's byte code, or of any function by its name."""
    for text in texts:
        with errors_naming(path):
            names = list(_class_names(json.loads(text))) if text else []
        yield from (f"the Keras layer {name}" for name in names if "lambda" in name.lower())


def _class_names(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield str(value.get("class_name", ""))
            pending += value.values()
        elif isinstance(value, list):
            pending += value
