"""Walks the object graph of a TensorFlow 2 checkpoint."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any


def children(graph: Any, node_id: int = 0) -> dict[str, int]:
    """Returns the ids of a node's children by name; node 0 is the root."""
    return {child.local_name: child.node_id for child in graph.nodes[node_id].children}


def stored_keys(
    graph: Any, roots: Iterable[str], steps: re.Pattern | None = None
) -> dict[str, str]:
    """Returns the checkpoint's key of each variable by its shortest path.

    Keys are not asked for the path: in a SavedModel a variable may be filed under a shorter one.

    Args:
      graph: a TrackableObjectGraph.
      roots: children of the root at which paths begin.
      steps: names that may appear in a path; all if None.
    """
    top = children(graph)
    found: dict[str, str] = {}
    queue = deque((name, top[name]) for name in roots if name in top)
    seen: set[int] = set()
    while queue:
        path, node_id = queue.popleft()
        if node_id in seen:
            continue
        seen.add(node_id)
        for attribute in graph.nodes[node_id].attributes:
            if attribute.name == "VARIABLE_VALUE":
                found[path] = attribute.checkpoint_key
        queue.extend(
            (f"{path}/{name}", child)
            for name, child in children(graph, node_id).items()
            if steps is None or steps.fullmatch(name)
        )
    return found
