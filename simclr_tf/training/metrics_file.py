"""metrics.jsonl: what was measured of a run, a line for each summary."""

from __future__ import annotations

import json
from typing import Any

import tensorflow as tf

from simclr_tf import files

NAME = "metrics.jsonl"


class MetricsFile:
    """The lines of a run's `metrics.jsonl`: JSON objects with `step`, `time` and metrics by name.

    Unlike a run's other files it grows line by line; a line that a kill has cut short counts for
    nothing.

    Args:
      folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        self._path = files.join(folder, NAME)

    def read(self) -> list[dict[str, Any]]:
        """Returns the lines, in the order of steps."""
        if not tf.io.gfile.exists(self._path):
            return []
        with tf.io.gfile.GFile(self._path) as file:
            return [line for line in map(_parse, file.read().splitlines()) if line]

    def append(self, line: dict[str, Any]) -> None:
        """Adds a line at the end."""
        with tf.io.gfile.GFile(self._path, "a") as file:
            file.write(json.dumps(line) + "\n")

    def keep_until(self, step: int) -> None:
        """Drops what was measured beyond `step`, from where a run goes on."""
        if tf.io.gfile.exists(self._path):
            kept = [line for line in self.read() if line["step"] <= step]
            files.write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))


def _parse(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None
