"""Variables by their place in the object graph: the names under which checkpoints hold them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def variables_by_path(parts: Mapping[str, Any]) -> dict[str, tf.Variable]:
    """Maps each variable's path, such as `encoder/stem/conv/kernel`, to the variable.

    A path is made of attribute names and list positions, never of variable names, which depend on
    what else was built in the process.

    Args:
      parts: trackable objects (layers) by name.
    """
    root = tf.train.Checkpoint(**parts)
    view = tf.train.TrackableView(root)
    found: dict[str, tf.Variable] = {}
    seen = {id(root)}
    queue: deque[tuple[str, Any]] = deque((name, parts[name]) for name in sorted(parts))
    while queue:  # breadth first, as TensorFlow names them: the shortest path wins
        path, node = queue.popleft()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, tf.Variable):
            found[path] = node
            continue
        queue.extend((f"{path}/{name}", child) for name, child in view.children(node).items())
    return found


def module_of(variables: Mapping[str, tf.Variable]) -> tf.Module:
    """Returns an object tree that holds variables at their paths, and nothing else."""
    root = tf.Module()
    for path, variable in variables.items():
        *places, name = path.split("/")
        node = root
        for place in places:
            if not hasattr(node, place):
                setattr(node, place, tf.Module())
            node = getattr(node, place)
        setattr(node, name, variable)
    return root


def read_parts(parts: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Returns the value of every variable by its path.

    Where several machines share a run all of them must call it at the same time: what replicas
    average is averaged when it is read.
    """
    return {path: v.read_value() for path, v in variables_by_path(parts).items()}


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of every variable: paths, types, shapes and values, in hexadecimal."""
    return fingerprint_of({path: value.numpy() for path, value in read_parts(parts).items()})


def fingerprint_of(values: Mapping[str, np.ndarray]) -> str:
    """Returns what `fingerprint` does of variables with these values, by path."""
    digest = hashlib.sha256()
    for path, array in sorted(values.items()):
        digest.update(f"{path} {array.dtype.name} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def assign_parts(values: Mapping[str, tf.Tensor], parts: Mapping[str, Any]) -> None:
    """Sets every variable of `parts` to what `read_parts` returned of another network.

    Raises:
      ValueError: the two do not have the same variables.
    """
    places = variables_by_path(parts)
    if values.keys() != places.keys():
        raise ValueError(f"parts differ: {sorted(values.keys() ^ places.keys())[:5]}")
    for path, variable in places.items():
        variable.assign(values[path])
