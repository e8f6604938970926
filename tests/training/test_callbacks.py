"""What happens beside training: summaries, checkpoints, and when they are due."""

from __future__ import annotations

import io
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import _pylab_helpers
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simclr_tf.optimizers import WarmUpCosine
from simclr_tf.training import curves, guessing
from simclr_tf.training import tally as tally_module
from simclr_tf.training.checkpointing import Checkpointing
from simclr_tf.training.curves import Curves
from simclr_tf.training.diverged import Diverged, WatchLoss
from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.measures import record
from simclr_tf.training.metrics_file import MetricsFile
from simclr_tf.training.summaries import Summaries
from simclr_tf.training.tally import Tally


class Model(tf.keras.Model):
    """Stands for a network: its loss in step n is n, over n images, with labels if n is even."""

    def __init__(self, broken_at: int = -1, left_out: int = -1, steps_a_call: int = 1) -> None:
        super().__init__()
        names = ("total_loss", "supervised_acc")
        self.train_metrics = {name: tf.keras.metrics.Mean(f"train/{name}") for name in names}
        self.now = tf.Variable(0, trainable=False)
        self.broken_at, self.left_out = broken_at, left_out
        self.with_sums = False
        self.compile(steps_per_execution=steps_a_call)

    def share_sums(self) -> None:
        self.with_sums = True

    def train_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        now = self.now.assign_add(1)
        loss = tf.cast(now, tf.float32)
        loss = tf.where(now == self.broken_at, np.nan, loss)
        labels = now * tf.cast(now % 2 == 0, tf.int32)
        return record(
            self.train_metrics,
            ({"total_loss": loss}, now),
            ({"supervised_acc": 0.25 * tf.ones([])}, labels),
            counts=now != self.left_out,
            with_sums=self.with_sums,
        )


class State:
    """Stands for a TrainingState."""

    def __init__(self) -> None:
        self.saved: list[int] = []

    def save(self, step: int) -> None:
        self.saved.append(step)


def fit(model: Model, steps: int, *callbacks: tf.keras.callbacks.Callback) -> dict[str, list]:
    data = tf.data.Dataset.from_tensors(tf.zeros([1])).repeat()
    return model.fit(data, steps_per_epoch=steps, callbacks=list(callbacks), verbose=0).history


def summaries(
    model: Model, folder: Path | None, **settings: Any
) -> list[tf.keras.callbacks.Callback]:
    images = lambda: tf.zeros([3, 2, 4, 4, 3])
    schedule = WarmUpCosine(1.0, 0, 20)
    tally = Tally(model)
    place = None if folder is None else str(folder)
    return [tally, Summaries(tally, folder=place, schedule=schedule, images=images, **settings)]


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


def mean(steps: list[int]) -> float:
    """The mean over all images of some of `Model`'s steps."""
    return sum(n * n for n in steps) / sum(steps)


def test_summaries_are_means_since_the_last_and_the_last_is_at_hand(tmp_path: Path) -> None:
    model = Model(left_out=4)
    callbacks = summaries(model, tmp_path, start=10, total=15, every=2)
    history = fit(model, 5, *callbacks)
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0}).Reload()
    written = {
        name: {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(name)}
        for name in ("train/total_loss", "train/supervised_acc", "learning_rate")
    }
    losses = {12: mean([1, 2]), 14: 3, 15: 5}
    assert written["train/total_loss"] == pytest.approx(losses)
    assert written["train/supervised_acc"] == {12: 0.25}, "nothing where no image has a label"
    rates = {step: 0.5 + 0.5 * np.cos(np.pi * step / 20) for step in (12, 14, 15)}
    assert written["learning_rate"] == pytest.approx(rates)
    assert callbacks[1].last == {"train/total_loss": 5.0}
    assert history["total_loss"] == [pytest.approx(mean([1, 2, 3, 5]))]  # Keras's own
    (shown,) = events.Tensors("augmented")
    width, height, *pictures = tf.make_ndarray(shown.tensor_proto)
    assert (int(width), int(height), len(pictures)) == (8, 4, 3), "two views side by side"
    lines = MetricsFile(str(tmp_path)).read()
    assert [abs(line.pop("time") - time.time()) < 60 for line in lines] == [True] * 3
    for line in lines:
        for name in line.keys() - {"step"}:
            assert written[name][line["step"]] == pytest.approx(line[name])
    assert [line["step"] for line in lines] == [12, 14, 15]
    assert lines[0].keys() == {"step", *written}


def test_health_is_written_where_it_was_looked_at(tmp_path: Path) -> None:
    asked = []

    def look(step: int, loss: float | None) -> dict[str, float]:
        asked.append((step, loss))
        return {"health/deviation": 0.75} if step == 4 else {}

    model = Model()
    health = types.SimpleNamespace(look=look)
    fit(model, 5, *summaries(model, tmp_path, start=0, total=5, every=2, health=health))
    assert asked == [(2, None), (4, None), (5, None)], "this network has no contrastive loss"
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0}).Reload()
    (event,) = events.Tensors("health/deviation")
    assert (event.step, float(tf.make_ndarray(event.tensor_proto))) == (4, 0.75)
    found = [line.get("health/deviation") for line in MetricsFile(str(tmp_path)).read()]
    assert found == [None, 0.75, None]


@pytest.mark.parametrize("at_most", [5, 100_000])
@pytest.mark.parametrize("steps_a_call", [1, 3])
def test_means_since_a_call_are_right_whoever_else_asks(
    monkeypatch, steps_a_call: int, at_most: int
) -> None:
    """Also where the network begins to add up anew, takes steps at once, and leaves one out."""
    monkeypatch.setattr(tally_module, "_IMAGES_AT_MOST", at_most)
    model = Model(left_out=5, steps_a_call=steps_a_call)
    tally = Tally(model)
    takes = {every: tally.since_last() for every in (3, 6)}
    taken: dict[int, list] = {3: [], 6: []}

    class Asking(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            for every, take in takes.items():
                if (batch + 1) % every == 0:
                    taken[every].append(take())

    fit(model, 12, tally, Asking())
    losses = {every: [means["total_loss"] for means in all_of] for every, all_of in taken.items()}
    assert losses[3] == pytest.approx(
        [mean(s) for s in ([1, 2, 3], [4, 6], [7, 8, 9], [10, 11, 12])]
    )
    assert losses[6] == pytest.approx([mean([1, 2, 3, 4, 6]), mean([7, 8, 9, 10, 11, 12])])
    assert all(means["supervised_acc"] == 0.25 for means in taken[3])
    assert takes[3]() == {}, "no step since"


def test_what_was_measured_beyond_the_step_that_a_run_goes_on_from_is_dropped(tmp_path) -> None:
    """A run was killed after step 15, with a checkpoint at 13, in the midst of a line."""
    file = MetricsFile(str(tmp_path))
    for step in (11, 12, 13, 14, 15):
        file.append({"step": step, "time": 1.0, "train/total_loss": 0.5 * step})
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 16, "ti')
    assert [line["step"] for line in file.read()] == [11, 12, 13, 14, 15]
    model = Model()
    fit(model, 3, *summaries(model, tmp_path, start=13, total=16, every=1))
    lines = file.read()
    assert [(line["step"], line["train/total_loss"]) for line in lines] == [
        *((11, 5.5), (12, 6.0), (13, 6.5)),
        *((14, 1.0), (15, 2.0), (16, 3.0)),
    ]
    assert path.read_text().count("\n") == 6


@pytest.mark.parametrize("summary_steps", [2, 100])
def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(summary_steps: int) -> None:
    """Whether or not a summary is due."""
    model, state = Model(broken_at=4), State()
    span = {"start": 10, "total": 16}
    watching = [WatchLoss(start=10), *summaries(model, None, **span, every=summary_steps)]
    with pytest.raises(Diverged) as caught:
        fit(model, 6, *watching, Checkpointing(state, **span, every=2))
    assert (caught.value.what, caught.value.step) == ("loss", 14)
    assert state.saved == [12]


def test_a_loop_whose_loss_is_no_number_is_named_from_its_first_step() -> None:
    with pytest.raises(Diverged) as caught:
        fit(Model(broken_at=5, steps_a_call=3), 9, WatchLoss(start=10))
    assert (caught.value.first, caught.value.step) == (14, 16)


def test_ten_steps_left_out_in_a_row_end_the_run() -> None:
    watch = WatchLoss(start=100)
    watch.on_train_batch_end(20, {"total_loss": 1.0, "left_out": 15.0, "left_out_in_a_row": 9.0})
    assert watch.left_out == 15
    with pytest.raises(Diverged) as caught:
        watch.on_train_batch_end(
            21, {"total_loss": 1.0, "left_out": 16.0, "left_out_in_a_row": 10.0}
        )
    assert (caught.value.step, caught.value.steps) == (122, 10)


def some_lines(count: int) -> list[dict]:
    return [
        {"step": step, "train/contrast_loss": 5.0, "train/contrast_acc": 0.5, "learning_rate": 0.1}
        for step in range(1, count + 1)
    ]


def heights(picture: bytes) -> int:
    return Image.open(io.BytesIO(picture)).size[1]


@pytest.mark.parametrize("count", [1, 200])
def test_curves_have_a_panel_for_what_was_measured(count: int) -> None:
    """Also of one point, and with a name that would be mathematics, and in letters it has not."""
    known = {**guessing.of_pretraining(16), **guessing.of_classes(10)}
    title = "a $run_ 图"
    lines = some_lines(count)
    three = curves.draw_curves(lines, title=title, guessing=known)
    lines[-1]["train/supervised_acc"] = 0.2
    four = curves.draw_curves(lines, title=title, guessing=known)
    assert heights(four) - heights(three) == 220, "one panel more, of 2.2 inches"
    lines[-1] |= {"health/deviation": 0.9, "health/rank_me_h": 20.0, "health/lidar_h": 30.0}
    assert heights(curves.draw_curves(lines, title=title, guessing=known)) - heights(four) == 440
    assert not _pylab_helpers.Gcf.figs, "nothing is left with pyplot"


def test_curves_are_drawn_now_and_then_and_their_failure_is_one_line(
    tmp_path, monkeypatch, caplog
) -> None:
    for line in some_lines(3):
        MetricsFile(str(tmp_path)).append(line)
    drawn = []
    monkeypatch.setattr(curves, "draw_curves", lambda *_, **how: drawn.append(how) or b"picture")
    now = [0.0]
    monkeypatch.setattr(curves, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    callback = Curves(str(tmp_path), start=0, total=100, every=10, guessing={})
    for step in range(1, 101):
        now[0] = 12.0 * step
        callback.on_train_batch_end(step - 1)
    assert len(drawn) == 3, "twenty minutes, but not at the end, which is drawn by itself"
    assert drawn[0]["title"] == f"{tmp_path.name}: step 3 of 100"
    assert (tmp_path / "curves.png").read_bytes() == b"picture"
    monkeypatch.setattr(curves, "draw_curves", lambda *_, **how: 1 / 0)
    callback.draw()
    assert caplog.messages == ["curves.png cannot be drawn: division by zero"]
    Curves(None, start=0, total=100, every=10, guessing={}).draw()
