"""Weights from a checkpoint, a run or a SavedModel: every variable accounted for, or an error."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from simclr_tf import files
from simclr_tf.checkpoints import metadata as metadata_lib
from simclr_tf.checkpoints.variables import variables_by_path
from simclr_tf.errors import UserError

UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
"""What TensorFlow raises for a checkpoint that is damaged or cut short."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where weights lie, and what they are.

    Attributes:
      prefix: of the TensorFlow checkpoint.
      metadata: content of its simclr.json.
    """

    prefix: str
    metadata: dict[str, Any]


def find_source(path: str) -> Source:
    """Finds the weights behind `--checkpoint`.

    Args:
      path: a SavedModel folder, a folder of SavedModel versions, a checkpoint path
        (`.../ckpt-100`) or a run's model_dir.

    Raises:
      UserError: nothing is there, it cannot be read, or it does not say what it is.
    """
    path = path.rstrip("/")
    exists, is_folder = tf.io.gfile.exists, tf.io.gfile.isdir
    folder, prefix = path, None
    if exists(f"{path}.index"):
        folder, prefix = os.path.dirname(path) or ".", path
    elif is_folder(path):
        prefix = tf.train.latest_checkpoint(path)
        if prefix is None:
            saved = _newest_saved_model(path)
            if saved is not None:
                prefix, folder = f"{saved}/variables/variables", f"{saved}/assets.extra"
    if prefix is None:
        found = "holds no checkpoint or SavedModel" if exists(path) else "does not exist"
        raise UserError(
            f"--checkpoint={path} {found}; give a SavedModel folder, a path such as "
            ".../ckpt-100, or the model_dir of a run"
        )
    described = files.join(folder, metadata_lib.FILE_NAME)
    try:
        metadata = files.read_json(described)
    except ValueError:
        raise UserError(f"--checkpoint={path}: {described} is not valid JSON") from None
    if metadata is None:
        raise UserError(
            f"--checkpoint={path} has no {metadata_lib.FILE_NAME} beside it, which says what "
            "network it is; only checkpoints written by simclr_tf can be loaded"
        )
    if metadata.get("format") != metadata_lib.FORMAT:
        raise UserError(
            f"--checkpoint={path}: {described} has format {metadata.get('format')}, this version "
            f"of simclr_tf reads format {metadata_lib.FORMAT}"
        )
    return Source(prefix, metadata)


def _newest_saved_model(path: str) -> str | None:
    if tf.io.gfile.exists(files.join(path, "saved_model.pb")):
        return path
    for folder in (path, files.join(path, "saved_model")):
        if tf.io.gfile.isdir(folder):
            names = (name.rstrip("/") for name in tf.io.gfile.listdir(folder))
            versions = sorted((name for name in names if name.isdigit()), key=int)
            if versions:
                return files.join(folder, versions[-1])
    return None


def restore_parts(parts: Mapping[str, Any], source: Source) -> str:
    """Sets every variable of `parts` from the checkpoint, or none.

    Args:
      parts: built layers by the name under which checkpoints hold them (`encoder`, ...). Parts of
        the checkpoint that are not named here stay unread.
      source: from `find_source`.

    Returns:
      One line that says what was restored.

    Raises:
      UserError: unreadable, or a variable is missing, unexpected or of another shape.
    """
    expected = variables_by_path(parts)
    try:
        reader = tf.train.load_checkpoint(source.prefix)
        keys = _stored_keys(reader, parts)
        all_shapes = reader.get_variable_to_shape_map()
        shapes = {path: list(all_shapes[key]) for path, key in keys.items()}
        _check_match(expected, shapes, source.prefix)
        values = {path: reader.get_tensor(keys[path]) for path in expected}
    except UNREADABLE as error:
        raise UserError(
            f"checkpoint {source.prefix} cannot be read: {_first_line(error)}"
        ) from None
    for path, variable in expected.items():
        variable.assign(values[path])
    return f"{', '.join(parts)}: all {len(expected)} variables restored from {source.prefix}"


def _stored_keys(reader: Any, parts: Mapping[str, Any]) -> dict[str, str]:
    """Returns the checkpoint's key of each variable by its path below `parts`.

    Keys are not asked for the path: in a SavedModel a variable may be filed under a shorter one.
    """
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    found: dict[str, str] = {}
    roots = {child.local_name: child.node_id for child in graph.nodes[0].children}
    queue = deque((name, roots[name]) for name in sorted(parts) if name in roots)
    seen: set[int] = set()
    while queue:
        path, node_id = queue.popleft()
        if node_id in seen:
            continue
        seen.add(node_id)
        node = graph.nodes[node_id]
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE":
                found[path] = attribute.checkpoint_key
        queue.extend((f"{path}/{child.local_name}", child.node_id) for child in node.children)
    return found


def _check_match(
    expected: Mapping[str, tf.Variable], shapes: Mapping[str, list[int]], prefix: str
) -> None:
    problems = {
        "missing in the checkpoint": sorted(expected.keys() - shapes.keys()),
        "not in this network": sorted(shapes.keys() - expected.keys()),
        "of another shape": sorted(
            f"{path} {shapes[path]} there, {variable.shape.as_list()} here"
            for path, variable in expected.items()
            if path in shapes and shapes[path] != variable.shape.as_list()
        ),
    }
    lines = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in problems.items()
        if names
    ]
    if lines:
        raise UserError(f"checkpoint {prefix} does not fit this network: {'; '.join(lines)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
