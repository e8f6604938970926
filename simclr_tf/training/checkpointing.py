"""Saves a run as it goes on."""

from __future__ import annotations

from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.training_state import TrainingState


class Checkpointing(EverySteps):
    """Writes a checkpoint every so many steps, and at the last.

    Comes behind `WatchLoss` in the list of callbacks, which ends a run whose loss is no number.

    Args:
      state: saves checkpoints.
      start, total, every: see `EverySteps`.
    """

    def __init__(self, state: TrainingState, *, start: int, total: int, every: int):
        super().__init__(start=start, total=total, every=every)
        self._state = state

    def act(self, step: int) -> None:
        self._state.save(step)
