"""Variables by their place in the object graph: the names under which checkpoints hold them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

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


def copy_parts(source: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Copies every variable of `source`'s parts to the same place in `target`'s.

    Raises:
      ValueError: the two do not have the same variables.
    """
    values = variables_by_path(source)
    places = variables_by_path(target)
    if values.keys() != places.keys():
        raise ValueError(f"parts differ: {sorted(values.keys() ^ places.keys())[:5]}")
    for path, variable in places.items():
        variable.assign(values[path].read_value())
