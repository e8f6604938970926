"""How many steps are one call, and the profile of some of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from simclr_tf.training import loops
from simclr_tf.training.loops import COMPILED_WITH, Loops
from simclr_tf.training.profiling import Profiling


class Model(tf.keras.Model):
    """Counts its steps."""

    def __init__(self, steps_a_call: int = COMPILED_WITH) -> None:
        super().__init__()
        self.taken = tf.Variable(0, trainable=False)
        self.compile(steps_per_execution=steps_a_call)

    def train_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"taken": self.taken.assign_add(1)}


class Noting(tf.keras.callbacks.Callback):
    """Notes after which steps the host looks."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start, self.seen = start, []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.seen.append(self.start + batch + 1)
        assert self.start + int(logs["taken"]) == self.seen[-1], "as many as Keras says"


def fit(model: Model, steps: int, *callbacks: tf.keras.callbacks.Callback) -> None:
    data = tf.data.Dataset.from_tensors(tf.zeros([1])).repeat()
    model.fit(data, steps_per_epoch=steps, callbacks=list(callbacks), verbose=0)


@pytest.mark.parametrize(
    ("seconds", "looks"),
    [
        # Twice as many each time until it is a second, and never past what is due.
        (0.125, [4, 6, 10, 18, 20, 25, 30, 33, 40, 48, 50, 57]),
        (0.375, [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 25, 27, 29, 30, 32, 33, 35, 37, 39]
         + [40, 42, 44, 46, 48, 50, 52, 54, 56, 57]),
        (5.0, list(range(4, 58))),
    ],
)  # fmt: skip
def test_a_loop_takes_a_second_and_ends_where_something_is_due(
    monkeypatch, seconds: float, looks: list[int]
) -> None:
    model, noting = Model(), Noting(3)
    monkeypatch.setattr(loops.time, "perf_counter", lambda: seconds * int(model.taken))
    fit(model, 54, noting, Loops(start=3, total=57, every=(10, 25), once=(2, 33)))
    assert noting.seen == looks
    assert model.train_function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("start", "first", "last", "marks"),
    [
        (0, 3, 4, [3, 4]),
        (0, 1, 1, [1]),
        (5, 3, 7, [6, 7]),  # a run that goes on
        (5, 7, 8, [7, 8]),  # its last steps
        (5, 2, 5, []),
    ],
)
def test_a_profile_is_of_the_steps_asked_for(
    monkeypatch, tmp_path: Path, start: int, first: int, last: int, marks: list[int]
) -> None:
    monkeypatch.setattr(loops, "SECONDS", 0.0)  # each step is a loop, and has a mark
    callbacks = [
        Loops(start=start, total=8, every=(8,), once=(first - 1, last)),
        Profiling(str(tmp_path), start=start, first=first, last=last),
    ]
    fit(Model(), 8 - start, *callbacks)
    assert recorded(tmp_path, start) == marks


def test_a_profile_holds_whole_loops_and_ends_with_the_run(tmp_path: Path) -> None:
    profiling = Profiling(str(tmp_path), start=0, first=5, last=8)

    class Ends(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            if batch == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Model(3), 12, profiling, Ends())
    assert recorded(tmp_path, 0) == []
    profiling.close()
    assert recorded(tmp_path, 0) == [4], "Keras marks a loop by its first step"


def recorded(folder: Path, start: int) -> list[int]:
    """The steps at which the recorded calls began."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    steps = []
    for file in folder.glob("plugins/profile/*/*.xplane.pb"):
        for plane in xplane_pb2.XSpace.FromString(file.read_bytes()).planes:
            for line in plane.lines:
                for event in line.events:
                    if plane.event_metadata[event.metadata_id].name != "train":
                        continue
                    stats = {plane.stat_metadata[s.metadata_id].name: s for s in event.stats}
                    steps.append(start + int(stats["step_num"].int64_value) + 1)
    return sorted(steps)
