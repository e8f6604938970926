"""Saves a run that is asked to stop."""

from __future__ import annotations

from signal import SIGTERM
from typing import Any

import tensorflow as tf

from simclr_tf import stopping
from simclr_tf.stopping import Stopped
from simclr_tf.training.network import Network
from simclr_tf.training.training_state import TrainingState


class Preemption(tf.keras.callbacks.Callback):
    """On SIGTERM or Ctrl-C, saves after the step that is being taken and ends the run.

    Clouds and cluster managers send SIGTERM half a minute or more before they stop a machine. Where
    several machines share a run, one that is told so ends all of them at the same step: each step
    tells every machine whether any has been told (`Network.share_stop`).

    Args:
      network: being trained.
      state: saves checkpoints.
      start: step the run starts at.
      several: whether several machines share the run.
      account: what to tell the user once all is saved.
    """

    def __init__(
        self, network: Network, state: TrainingState, *, start: int, several: bool, account: str
    ) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._state, self._start, self._account = state, start, account
        self._told: tf.Variable | None = None
        if several:
            # Made outside the strategy, so that each machine has its own.
            self._told = tf.Variable(0.0, trainable=False)
            network.share_stop(self._told.read_value)

    def tell(self) -> None:
        """Has the step that is being taken, or the next, tell the other machines."""
        if self._told is not None:
            self._told.assign(1.0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        number = stopping.told_by()
        if number if self._told is None else (logs or {})["stop"]:
            step = self._start + batch + 1
            self._state.save(step)
            # Another machine does not say what it was told by: most often it is taken away.
            raise Stopped(number or SIGTERM, f", saved at step {step:,}; {self._account}")
