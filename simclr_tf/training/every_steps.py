"""What callbacks share that act now and then: they know the run's step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class EverySteps(tf.keras.callbacks.Callback):
    """Acts each time that a multiple of `every` steps is passed, and at the run's last step.

    Args:
      start: step the run starts at.
      total: step the run ends at.
      every: steps between acts.

    Attributes:
      step: after which it was last called.
    """

    def __init__(self, *, start: int, total: int, every: int):
        super().__init__()
        self._supports_tf_logs = True  # Keras need not fetch each metric from the device
        self._start, self._total, self._every = start, total, every
        self.step = start

    def act(self, step: int) -> None:
        """Does what is due after `step` steps."""
        raise NotImplementedError

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Several steps may have been taken since the last call.
        before, self.step = self.step, self._start + batch + 1
        if self.step == self._total or self.step // self._every > before // self._every:
            self.act(self.step)
