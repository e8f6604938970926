"""Notices that a run has diverged: its loss or its weights are no numbers any more."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

IN_A_ROW = 10
"""So many steps without a number, one after the other, are no accident."""


class Diverged(Exception):
    """Training cannot go on.

    Args:
      what: `loss`, `weights` or, where training ended early, `data`.
      step: after which it was noticed.
      steps: so many have been left out one after the other.
      first: step at which it may have begun: nobody looked between; None means `step`.
    """

    def __init__(self, what: str, step: int, steps: int = 0, first: int | None = None) -> None:
        super().__init__(what, step, steps, first)
        self.what, self.step, self.steps = what, step, steps
        self.first = step if first is None else first


class WatchLoss(tf.keras.callbacks.Callback):
    """Ends training at the first step whose loss is no number, before anything is saved of it.

    Where the network leaves such steps out (`Network.compile(skip_nonfinite=True)`), it ends
    training after ten in a row.

    Args:
      start: step the run starts at.

    Attributes:
      left_out: how many steps the network has left out.
    """

    def __init__(self, *, start: int) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._start = self._step = start
        self.left_out = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        before, self._step = self._step, self._start + batch + 1
        if not math.isfinite(float(logs["total_loss"])):
            raise Diverged("loss", self._step, first=before + 1)
        self.left_out = round(float(logs.get("left_out", 0)))
        in_a_row = round(float(logs.get("left_out_in_a_row", 0)))
        if in_a_row >= IN_A_ROW:
            raise Diverged("loss", self._step, in_a_row, first=before + 1)
