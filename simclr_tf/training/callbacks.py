"""What happens while a run goes on: progress, TensorBoard, checkpoints."""

from __future__ import annotations

import math
import sys
from typing import Any

import tensorflow as tf
import tqdm

from simclr_tf.checkpoints import TrainingState
from simclr_tf.errors import UserError
from simclr_tf.training.network import Network

# Names of train_step's results -> what the progress bar calls them.
_SHOWN = {
    "total_loss": "loss",
    "contrast_acc": "contrastive accuracy",
    "supervised_acc": "supervised accuracy",
}


class ProgressBar(tf.keras.callbacks.Callback):
    """Shows step, loss, contrastive accuracy, views/s and time left, on a terminal or in a log.

    tensorflow-addons' bar is not used: it averages over the whole run, counts from zero when a run
    is continued, and exists on one of the two stacks only.

    Args:
      start: step the run starts at.
      total: step the run ends at.
      views: views per step, over all replicas.
      shown: False draws nothing, on all machines of a run but the chief.
    """

    def __init__(self, *, start: int, total: int, views: int, shown: bool = True):
        super().__init__()
        self._shown = shown
        self._start, self._total, self._views = start, total, views
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._bar = tqdm.tqdm(
            initial=self._start,
            total=self._total,
            unit="step",
            disable=not self._shown,
            mininterval=0.5 if sys.stderr.isatty() else 15,
            dynamic_ncols=True,
            bar_format="{n_fmt}/{total_fmt} |{bar:16}| {elapsed}<{remaining}{postfix}",
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate = self._bar.format_dict["rate"]
        shown = {_SHOWN[k]: f"{v:.3f}" for k, v in (logs or {}).items() if k in _SHOWN}
        if rate:
            shown["views/s"] = f"{rate * self._views:,.0f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(self._start + batch + 1 - self._bar.n)

    def close(self) -> None:
        """Ends the bar's line. Keras calls nothing where an error ends the run."""
        if self._bar is not None:
            self._bar.close()


class Journal(tf.keras.callbacks.Callback):
    """Writes TensorBoard summaries and checkpoints at their steps, and at the last.

    Args:
      model: being trained.
      state: saves checkpoints.
      log_dir: for TensorBoard events; None writes none, but takes part in what all machines of a
        run do together.
      start: step the run starts at.
      total: step the run ends at.
      checkpoint_steps: steps between checkpoints.
      summary_steps: steps between summaries; metrics are means over them.
      schedule: step -> learning rate.
      images: float32 [n, 2, h, w, 3] augmented pairs, or [n, h, w, 3], shown once.
    """

    def __init__(
        self,
        model: Network,
        state: TrainingState,
        *,
        log_dir: str | None,
        start: int,
        total: int,
        checkpoint_steps: int,
        summary_steps: int,
        schedule: tf.keras.optimizers.schedules.LearningRateSchedule,
        images: tf.Tensor,
    ):
        super().__init__()
        self._network = model
        self._state = state
        self._start = start
        self._step = start
        self._total = total
        self._checkpoint_steps = checkpoint_steps
        self._summary_steps = summary_steps
        self._schedule = schedule
        self._images = images
        self._writer = (
            tf.summary.create_file_writer(log_dir) if log_dir else tf.summary.create_noop_writer()
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        images = self._images
        if images.shape.rank == 5:  # side by side: view 1 | view 2
            images = tf.concat([images[:, 0], images[:, 1]], axis=2)
        with self._writer.as_default(step=self._start):
            tf.summary.image("augmented", images, max_outputs=8)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Several steps may have been taken since the last call.
        before, self._step = self._step, self._start + batch + 1
        if self._is_due(before, self._summary_steps):
            self._summarise(self._step)
        if self._is_due(before, self._checkpoint_steps):
            self._state.save(self._step)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()

    def _is_due(self, before: int, every: int) -> bool:
        return self._step == self._total or self._step // every > before // every

    def _summarise(self, step: int) -> None:
        metrics = self._network.train_metrics
        values = {metric.name: float(metric.result()) for metric in metrics.values()}
        if not math.isfinite(values["train/total_loss"]):
            raise UserError(
                f"the loss is {values['train/total_loss']} at step {step}; lower --learning_rate "
                "or raise --warmup_epochs, and start again in a new --model_dir"
            )
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
            tf.summary.scalar("learning_rate", self._schedule(step))
        self._writer.flush()
        for metric in metrics.values():
            metric.reset_state()
