"""Adds up what the steps of a run measure, so that means over any steps of it can be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.training.stepping import Stepping

# The network adds up in float32: it begins again before the last digits are lost.
_IMAGES_AT_MOST = 100_000


class Tally(tf.keras.callbacks.Callback):
    """Means over some steps of a run, over all replicas, with no collective of their own.

    Several steps a call are all counted; those that are left out are not. Comes before the
    callbacks that ask it.

    Args:
      network: being trained.
    """

    def __init__(self, network: Stepping) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._metrics = network.train_metrics
        self._sums = np.zeros([len(self._metrics), 2])
        self._seen = np.zeros_like(self._sums)
        network.share_sums()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        seen = np.asarray((logs or {})["sums"], np.float64)
        self._sums += seen - self._seen
        self._seen = seen
        if seen[:, 1].max() > _IMAGES_AT_MOST:
            for metric in self._metrics.values():
                metric.reset_state()
            self._seen = np.zeros_like(seen)

    def since_last(self) -> Callable[[], dict[str, float]]:
        """Returns a function that gives, by name, means over the steps since its last call.

        What nothing was measured of, such as accuracy where no image has a label, is left out.
        """
        before = self._sums.copy()

        def take() -> dict[str, float]:
            nonlocal before
            totals, counts = (self._sums - before).T
            before = self._sums.copy()
            each = zip(self._metrics, totals, counts)
            return {name: float(total / count) for name, total, count in each if count}

        return take
