"""Finds weights: a run, a checkpoint or a SavedModel, of this package or the reference release."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import reference_tf1, reference_tf2
from simclr_tf.checkpoints.description import FILE_NAME, Description
from simclr_tf.checkpoints.infer_architecture import (
    CLASSIFIER,
    default_image_size,
    infer_architecture,
)
from simclr_tf.checkpoints.object_paths import stored_keys
from simclr_tf.checkpoints.reader import (
    OBJECT_GRAPH,
    check_whole,
    errors_naming,
    object_graph,
    open_reader,
)
from simclr_tf.checkpoints.trust import MODEL, check_harmless
from simclr_tf.errors import SettingError, UserError
from simclr_tf.paths import clean

_log = logging.getLogger("simclr_tf")

PARTS = ("encoder", "projection_head", "supervised_head")


@dataclasses.dataclass(frozen=True)
class StoredWeights:
    """Where weights are stored, and what they are.

    Attributes:
      prefix: of the TensorFlow checkpoint.
      description: from its simclr.json; from names and shapes for the reference release.
      keys: the checkpoint's key of each variable of the network, by its path in this package.
      shapes: of the same variables.
      unknown: keys that belong to nothing known.
      ignored: how many belong to an optimizer or count steps.
      kind: what wrote it, in words.
    """

    prefix: str
    description: Description
    keys: Mapping[str, str]
    shapes: Mapping[str, list[int]]
    unknown: tuple[str, ...] = ()
    ignored: int = 0
    kind: str = "simclr_tf"


def find_weights(
    path: str, *, trust_checkpoint: bool = False, setting: str = "checkpoint"
) -> StoredWeights:
    """Finds the weights that a setting names.

    Args:
      path: a SavedModel folder, a folder of SavedModel versions, a checkpoint path
        (`.../ckpt-100`) or a folder of checkpoints, such as a run's model_dir.
      trust_checkpoint: whether a SavedModel may hold operations that could do more than compute.
      setting: that names them, for errors.

    Raises:
      UserError: nothing is there, it cannot be read or trusted, or is of no known network.
    """
    prefix, folder = _locate(clean(path, setting), setting)
    if not trust_checkpoint:
        check_harmless(path, prefix, setting=setting)
    reader = open_reader(prefix)
    description_file = files.join(folder, FILE_NAME)
    try:
        content = files.read_json(description_file)
    except (ValueError, RecursionError):
        raise SettingError(setting, path, f": {description_file} is not valid JSON") from None
    with errors_naming(prefix):
        graph = object_graph(reader, prefix)
        all_shapes = reader.get_variable_to_shape_map()
        if content is None:
            return _of_reference(path, prefix, graph, all_shapes, setting)
        keys = stored_keys(graph, PARTS) if graph is not None else {}
        shapes = {name: list(all_shapes[key]) for name, key in keys.items()}
    description = Description.from_json(content, shapes=shapes, path=description_file)
    return StoredWeights(prefix, description, keys, shapes)


def _of_reference(
    path: str, prefix: str, graph: Any, all_shapes: Mapping[str, list], setting: str
) -> StoredWeights:
    label = f"`{setting}={path}`"
    layout: ModuleType = reference_tf2
    if graph is None:
        layout, stored = reference_tf1, reference_tf1.map_variables(all_shapes, label)
    else:
        stored = reference_tf2.map_variables(graph, all_shapes)
    if not stored:
        raise SettingError(
            setting,
            path,
            f"has no {FILE_NAME} beside it, which says what network it is, and is not of the "
            "reference release either",
            "PyTorch weights are converted by python -m simclr_tf.convert_pytorch",
        )
    keys = {name: key for key, name in stored.items()}
    shapes = {name: list(all_shapes[key]) for name, key in keys.items()}
    rest = sorted(all_shapes.keys() - stored.keys())
    unknown = tuple(key for key in rest if not layout.KNOWN_EXTRAS.search(key))
    architecture = infer_architecture(shapes, label)
    head = shapes.get(CLASSIFIER)
    description = Description(
        architecture,
        default_image_size(architecture),
        train_mode=None,
        num_classes=head[-1] if head else None,
    )
    ignored = sum(key != OBJECT_GRAPH for key in rest) - len(unknown)
    return StoredWeights(prefix, description, keys, shapes, unknown, ignored, layout.KIND)


def _locate(path: str, setting: str) -> tuple[str, str]:
    """Returns the checkpoint's prefix, and the folder in which its simclr.json would be."""
    exists = tf.io.gfile.exists
    if exists(f"{path}.index"):
        return path, files.parent(path)
    if tf.io.gfile.isdir(path):
        prefix = _newest_checkpoint(path)
        if prefix is not None:
            return prefix, path
        saved = newest_saved_model(path)
        if saved is not None and exists(f"{saved}/variables/variables.index"):
            return f"{saved}/variables/variables", f"{saved}/assets.extra"
    found = "holds no checkpoint or SavedModel" if exists(path) else "does not exist"
    raise SettingError(
        setting,
        path,
        found,
        "give a SavedModel folder, a path such as .../ckpt-100, or the model_dir of a run",
    )


def _newest_checkpoint(folder: str) -> str | None:
    """Returns the prefix of the checkpoint of most steps that is whole, None if there is none.

    The small file `checkpoint` is not asked: the reference's published folders lack it, or it names
    a path on its authors' disks; and nothing says that what it names is whole.

    Raises:
      UserError: there are checkpoints, but none is whole.
    """
    names = [name for name in tf.io.gfile.listdir(folder) if name.endswith(".index")]
    names.sort(key=lambda name: (int((re.findall(r"\d+", name) or ["-1"])[-1]), name))
    bad: list[UserError] = []
    for name in reversed(names):
        prefix = files.join(folder, name.removesuffix(".index"))
        try:
            check_whole(prefix)
        except UserError as error:
            bad.append(error)
            continue
        for reason in bad:
            _log.warning("%s; takes %s", reason, prefix)
        return prefix
    if bad:
        raise bad[0]
    return None


def newest_saved_model(path: str) -> str | None:
    """Returns the SavedModel at `path`, or the newest version there or in its `saved_model/`.

    Of versions, one that an interrupted export on gs:// left without a model is passed over.
    """
    if is_saved_model(path):
        return path
    for folder in (path, files.join(path, "saved_model")):
        if tf.io.gfile.isdir(folder):
            names = (name.rstrip("/") for name in tf.io.gfile.listdir(folder))
            versions = sorted((name for name in names if name.isdigit()), key=int)
            found = [files.join(folder, version) for version in versions]
            whole = [version for version in found if is_saved_model(version)]
            if found:
                return (whole or found)[-1]
    return None


def is_saved_model(folder: str) -> bool:
    """Says whether a folder is one, and not what an export has left half written."""
    return tf.io.gfile.exists(files.join(folder, MODEL))
