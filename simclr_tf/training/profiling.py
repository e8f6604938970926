"""A profile of some of a run's steps, for TensorBoard."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Profiling(tf.keras.callbacks.Callback):
    """Records what devices and the host do in some steps; TensorBoard's profile plugin shows it.

    Where several steps are one loop, it begins and ends with whole loops. A run that starts behind
    the last of the steps records nothing.

    Comes behind `Loops` in the list of callbacks, which decides how long the next loop is.

    Args:
      folder: whose `plugins/profile` it is written into.
      start: step the run starts at.
      first: step to record first, from 1 on.
      last: step to record last.
    """

    def __init__(self, folder: str, *, start: int, first: int, last: int) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._folder, self._start, self._first, self._last = folder, start, first, last
        self._step = start
        self._records = False

    # Keras marks each step from before `on_train_batch_begin` until after `on_train_batch_end`.
    # Marks that do not begin and end while it records are lost.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._begin_if_due()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._step >= self._last:
            self.close()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._step = self._start + batch + 1
        self._begin_if_due()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def _begin_if_due(self) -> None:
        """Begins if the next loop holds the first step, or a later one."""
        behind_next = self._step + int(self.model.steps_per_execution.numpy())
        if self._first <= behind_next and self._step < self._last and not self._records:
            tf.profiler.experimental.start(self._folder)
            self._records = True

    def close(self) -> None:
        """Writes what is recorded. Keras calls nothing where an error ends the run."""
        if self._records:
            self._records = False
            tf.profiler.experimental.stop()
            print(f"profile up to step {self._step:,}: {self._folder}/plugins/profile", flush=True)
