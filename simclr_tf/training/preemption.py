"""Saves a run whose machine is about to be taken away."""

from __future__ import annotations

import signal
import threading
from typing import Any

import tensorflow as tf

from simclr_tf.distribution import Workers, sum_over_workers
from simclr_tf.errors import Preempted
from simclr_tf.training.training_state import TrainingState


class Preemption(tf.keras.callbacks.Callback):
    """On SIGTERM, saves after the step that is being taken and ends the run.

    Clouds and cluster managers send it half a minute or more before they stop a machine. Where
    several machines share a run, one that is told so ends all of them at the same step.

    Args:
      strategy: of the run.
      workers: the machines that it spans.
      state: saves checkpoints.
      start: step the run starts at.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        workers: Workers,
        state: TrainingState,
        *,
        start: int,
    ) -> None:
        super().__init__()
        self._strategy, self._workers = strategy, workers
        self._state, self._start = state, start
        self._told = threading.Event()
        self._before: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Python delivers signals to the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, lambda *_: self._told.set())

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not sum_over_workers(int(self._told.is_set()), self._strategy, self._workers):
            return
        step = self._start + batch + 1
        self._state.save(step)
        raise Preempted(f"stopped by SIGTERM, saved at step {step:,}; the same command goes on")

    def close(self) -> None:
        """Gives the signal back. Keras calls nothing where an error ends the run."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
