"""What happens beside training: summaries, checkpoints, and when they are due."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simclr_tf.optimizers import WarmUpCosine
from simclr_tf.training.checkpointing import Checkpointing
from simclr_tf.training.diverged import Diverged, WatchLoss
from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.summaries import Summaries


class Model(tf.keras.Model):
    """Stands for a network: its loss in step n is n."""

    def __init__(self, broken_at: int = -1) -> None:
        super().__init__()
        self.train_metrics = {"total_loss": tf.keras.metrics.Mean("train/total_loss")}
        self.loss_now = tf.Variable(0.0, trainable=False)
        self.broken_at = broken_at
        self.compile()

    def train_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        self.loss_now.assign_add(1.0)
        loss = tf.where(self.loss_now == float(self.broken_at), np.nan, self.loss_now)
        self.train_metrics["total_loss"].update_state(loss)
        return {"total_loss": self.train_metrics["total_loss"].result()}


class State:
    """Stands for a TrainingState."""

    def __init__(self) -> None:
        self.saved: list[int] = []

    def save(self, step: int) -> None:
        self.saved.append(step)


def fit(model: Model, steps: int, *callbacks: tf.keras.callbacks.Callback) -> dict[str, list]:
    data = tf.data.Dataset.from_tensors(tf.zeros([1])).repeat()
    return model.fit(data, steps_per_epoch=steps, callbacks=list(callbacks), verbose=0).history


def summaries(model: Model, log_dir: str | None, **settings: int) -> Summaries:
    images = tf.zeros([3, 2, 4, 4, 3])
    schedule = WarmUpCosine(1.0, 0, 10)
    return Summaries(model, log_dir=log_dir, schedule=schedule, images=images, **settings)


@pytest.mark.parametrize(
    ("start", "total", "every", "calls", "due"),
    [
        (0, 7, 3, [1, 2, 3, 4, 5, 6, 7], [3, 6, 7]),
        (4, 7, 3, [5, 6, 7], [6, 7]),  # a run that goes on keeps to the same steps
        (0, 7, 4, [3, 6, 7], [6, 7]),  # three steps between calls
        (0, 2, 100, [1, 2], [2]),
        (0, 4, 1, [2, 4], [2, 4]),
    ],
)
def test_due_when_a_multiple_is_passed_and_at_the_end(start, total, every, calls, due) -> None:
    done = []

    class Noting(EverySteps):
        def act(self, step: int) -> None:
            done.append(step)

    callback = Noting(start=start, total=total, every=every)
    for step in calls:
        callback.on_train_batch_end(step - start - 1)
    assert done == due


def test_checkpoints_are_saved_when_due() -> None:
    state = State()
    fit(Model(), 5, Checkpointing(state, start=0, total=5, every=2))
    assert state.saved == [2, 4, 5]


def test_summaries_are_means_since_the_last_and_the_last_is_at_hand(tmp_path: Path) -> None:
    model = Model()
    callback = summaries(model, str(tmp_path), start=10, total=15, every=2)
    history = fit(model, 5, callback)
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    written = {
        name: [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(name)]
        for name in ("train/total_loss", "learning_rate")
    }
    assert written["train/total_loss"] == [(12, 1.5), (14, 3.5), (15, 5.0)]
    assert written["learning_rate"] == [(12, 0), (14, 0), (15, 0)]  # the schedule ends at 10
    assert callback.last == {"train/total_loss": 5.0}
    assert history == {"total_loss": [5.0]}
    (shown,) = events.Tensors("augmented")
    width, height, *pictures = tf.make_ndarray(shown.tensor_proto)
    assert (int(width), int(height), len(pictures)) == (8, 4, 3), "two views side by side"


@pytest.mark.parametrize("summary_steps", [2, 100])
def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(summary_steps: int) -> None:
    """Whether or not a summary is due."""
    model, state = Model(broken_at=4), State()
    span = {"start": 10, "total": 16}
    watching = [WatchLoss(start=10), summaries(model, None, **span, every=summary_steps)]
    with pytest.raises(Diverged) as caught:
        fit(model, 6, *watching, Checkpointing(state, **span, every=2))
    assert (caught.value.what, caught.value.step) == ("loss", 14)
    assert state.saved == [12]


def test_ten_steps_left_out_in_a_row_end_the_run() -> None:
    watch = WatchLoss(start=100)
    watch.on_train_batch_end(20, {"total_loss": 1.0, "left_out": 15.0, "left_out_in_a_row": 9.0})
    assert watch.left_out == 15
    with pytest.raises(Diverged) as caught:
        watch.on_train_batch_end(
            21, {"total_loss": 1.0, "left_out": 16.0, "left_out_in_a_row": 10.0}
        )
    assert (caught.value.step, caught.value.steps) == (122, 10)
