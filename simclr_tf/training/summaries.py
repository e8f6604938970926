"""Writes what TensorBoard shows."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.training.classifier import Classifier
from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.simclr import SimCLR


class Summaries(EverySteps):
    """Writes TensorBoard summaries every so many steps, and at the last.

    Args:
      model: being trained.
      start, total, every: see `EverySteps`. Metrics are means over the steps since the last ones.
      log_dir: for TensorBoard events; None writes none, but takes part in what all machines of a
        run do together.
      schedule: step -> learning rate.
      images: float32 [n, 2, h, w, 3] augmented pairs, or [n, h, w, 3], shown once;
        None shows none.

    Attributes:
      last: the newest summary, metrics by TensorBoard's names.
    """

    def __init__(
        self,
        model: SimCLR | Classifier,
        *,
        start: int,
        total: int,
        every: int,
        log_dir: str | None,
        schedule: tf.keras.optimizers.schedules.LearningRateSchedule,
        images: tf.Tensor | None,
    ) -> None:
        super().__init__(start=start, total=total, every=every)
        self._metrics = list(model.train_metrics.values())
        self._schedule = schedule
        self._images = images
        self._writer = (
            tf.summary.create_file_writer(log_dir) if log_dir else tf.summary.create_noop_writer()
        )
        self.last: dict[str, float] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        images = self._images
        if images is None:
            return
        if images.shape.rank == 5:  # side by side: view 1 | view 2
            images = tf.concat([images[:, 0], images[:, 1]], axis=2)
        with self._writer.as_default(step=self._start):
            tf.summary.image("augmented", images, max_outputs=8)

    def act(self, step: int) -> None:
        self.last = {metric.name: float(metric.result()) for metric in self._metrics}
        with self._writer.as_default(step=step):
            for name, value in self.last.items():
                tf.summary.scalar(name, value)
            tf.summary.scalar("learning_rate", self._schedule(step))
        self._writer.flush()
        for metric in self._metrics:
            metric.reset_state()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()
