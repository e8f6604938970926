"""Writes what TensorBoard shows, and the same as lines of JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.health import Health
from simclr_tf.training.metrics_file import MetricsFile
from simclr_tf.training.tally import Tally


class Summaries(EverySteps):
    """Writes summaries every so many steps, and at the last: TensorBoard's, and `metrics.jsonl`.

    Args:
      tally: of the run; comes before this in the list of callbacks.
      start, total, every: see `EverySteps`. Metrics are means over the steps since the last ones.
      folder: of the run; None writes nothing.
      schedule: step -> learning rate.
      images: returns float32 [n, 2, h, w, 3] augmented pairs, or [n, h, w, 3], once the first step
        has been taken; None shows none.
      health: is asked at each summary; None for no health.

    Attributes:
      last: the newest summary, metrics by TensorBoard's names.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        start: int,
        total: int,
        every: int,
        folder: str | None,
        schedule: tf.keras.optimizers.schedules.LearningRateSchedule,
        images: Callable[[], tf.Tensor] | None,
        health: Health | None = None,
    ) -> None:
        super().__init__(start=start, total=total, every=every)
        self._take = tally.since_last()
        self._schedule = schedule
        self._images = images
        self._health = health
        self._lines = MetricsFile(folder) if folder else None
        self._writer = (
            tf.summary.create_file_writer(files.join(folder, "train"))
            if folder
            else tf.summary.create_noop_writer()
        )
        self.last: dict[str, float] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._lines is not None:
            self._lines.keep_until(self._start)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._images is not None:
            self._show(self._images())
            self._images = None
        super().on_train_batch_end(batch, logs)

    def _show(self, images: tf.Tensor) -> None:
        if images.shape.rank == 5:  # side by side: view 1 | view 2
            images = tf.concat([images[:, 0], images[:, 1]], axis=2)
        with self._writer.as_default(step=self._start):
            tf.summary.image("augmented", images, max_outputs=8)

    def act(self, step: int) -> None:
        self.last = {f"train/{name}": value for name, value in self._take().items()}
        scalars = {**self.last, "learning_rate": float(self._schedule(step))}
        if self._health is not None:
            scalars |= self._health.look(step, self.last.get("train/contrast_loss"))
        with self._writer.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()
        if self._lines is not None:
            self._lines.append({"step": step, "time": time.time(), **scalars})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()
