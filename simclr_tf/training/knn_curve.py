"""kNN accuracy of the features while a run goes on, as a curve."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.metrics_file import MetricsFile

NAME = "eval/knn_top_1"

_log = logging.getLogger("simclr_tf")


class KnnCurve(EverySteps):
    """Measures now and then, and writes a line of `metrics.jsonl` and a point for TensorBoard.

    It changes nothing about the run: it draws no random number and moves no statistics.

    Args:
      measure: returns the accuracy, and what it is of, in words.
      folder: of the run.
      start, total, every: see `EverySteps`.
    """

    def __init__(
        self,
        measure: Callable[[], tuple[float, str]],
        folder: str,
        *,
        start: int,
        total: int,
        every: int,
    ) -> None:
        super().__init__(start=start, total=total, every=every)
        self._measure = measure
        self._lines = MetricsFile(folder)
        self._writer = tf.summary.create_file_writer(files.join(folder, "eval"))

    def act(self, step: int) -> None:
        accuracy, told = self._measure()
        _log.info("step %s: kNN %.1f%% (%s)", f"{step:,}", 100 * accuracy, told)
        with self._writer.as_default(step=step):
            tf.summary.scalar(NAME, accuracy)
        self._writer.flush()
        self._lines.append({"step": step, "time": time.time(), NAME: accuracy})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()
