"""How many steps devices take before the host looks at them again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

SECONDS = 1.0
"""That a loop takes: signals and the progress that is shown wait for its end."""

COMPILED_WITH = 2
"""Steps a loop to compile the network with: of one step Keras makes no loop."""


class Loops(tf.keras.callbacks.Callback):
    """Has each loop take about a second, or one step where that is longer.

    Loops end at the steps at which something is due. Nothing is traced again for another length.

    Args:
      start: step the run starts at.
      total: step the run ends at.
      every: every so many steps something is due; several numbers.
      once: steps after which something else is.
    """

    def __init__(
        self, *, start: int, total: int, every: Sequence[int], once: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._step, self._start, self._every = start, start, every
        self._once = (*once, total)
        self._began, self._longest = 0.0, 1

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._choose(1)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before, self._step = self._step, self._start + batch + 1
        seconds = (time.perf_counter() - self._began) / (self._step - before)
        fitting = int(SECONDS / max(seconds, 1e-9))
        # Twice as many at most: one loop may have been lucky.
        self._choose(max(1, min(fitting, 2 * self._longest)))

    def _choose(self, longest: int) -> None:
        """Has the next loop take so many steps, or fewer where something is due before."""
        self._longest = longest
        ahead = [every - self._step % every for every in self._every]
        ahead += [step - self._step for step in self._once if step > self._step]
        self.model.steps_per_execution = min(longest, *ahead)
