"""What a user watches: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import runpy
import struct
import termios
import types
import warnings
from collections.abc import Callable

import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import pictures, terminal, workflows
from simclr_tf.training import guessing, progress
from simclr_tf.training.diagnosis import Diagnosis
from simclr_tf.training.progress import Progress
from simclr_tf.training.tally import Tally

PRETRAINING = ("contrast_loss", "contrast_acc", "supervised_acc")


class Run:
    """Steps of sixteen images on a clock of its own; what is measured of each is given."""

    def __init__(self, monkeypatch, names: tuple[str, ...] = PRETRAINING, **settings) -> None:
        self.now = 1000.0
        clock = types.SimpleNamespace(monotonic=lambda: self.now, strftime=lambda _: "14:03:22")
        monkeypatch.setattr(progress, "time", clock)
        metrics = {name: tf.keras.metrics.Mean(name) for name in names}
        network = types.SimpleNamespace(train_metrics=metrics, share_sums=lambda: None)
        self.sums = [[0.0, 0.0] for _ in names]
        self.tally = Tally(network)
        settings = {"start": 0, "total": 100, "views": 32, "epoch": 40.0, **settings}
        self.progress = Progress(self.tally, guessing=guessing.of_pretraining(16), **settings)
        self.batch = -1
        self.progress.on_train_begin()

    def step(self, seconds: float, *values: float | None, count: int = 1) -> None:
        """Takes `count` steps in one call; None has been measured of no image."""
        self.now += seconds
        self.batch += count
        for pair, value in zip(self.sums, values):
            if value is not None:
                pair[0] += value * 16 * count
                pair[1] += 16 * count
        logs = {"sums": self.sums}
        self.tally.on_train_batch_end(self.batch, logs)
        self.progress.on_train_batch_end(self.batch, logs)


@pytest.fixture
def printed(capsys) -> Callable[[], list[str]]:
    def lines() -> list[str]:
        out, err = capsys.readouterr()
        assert out == ""
        assert "\r" not in err
        return err.splitlines()

    return lines


def test_lines_off_a_terminal(monkeypatch, printed) -> None:
    run = Run(monkeypatch)
    run.step(8.0, 7.0, 0.0625, None)
    assert printed() == [
        "14:03:22 step 1/100 (epoch 0.0): NT-Xent 7.000, contrastive accuracy 6.2% (chance 6.2%), "
        "the first step took 8.0 s"
    ]
    run.step(2.0, 6.0, 0.5, 0.25)
    assert printed() == [
        "14:03:22 step 2/100 (epoch 0.1): NT-Xent 6.000, contrastive accuracy 50.0% "
        "(chance 6.2%), probe accuracy 25.0%, 16 views/s, 3 min 16 s left"
    ]
    for loss in (5.0, 4.0, 3.0):
        run.step(4.0, loss, 0.5, 0.25)
    assert printed() == [], "twelve seconds"
    run.step(4.0, 2.0, 0.5, None)  # of the last four steps; and 14 s for 4 steps since the first
    (line,) = printed()
    assert "step 6/100 (epoch 0.1): NT-Xent 3.500, " in line
    assert ", 8 views/s, 5 min 38 s left" in line  # 18 s for 5 steps


def test_a_line_at_every_epoch_and_at_the_end(monkeypatch, printed) -> None:
    run = Run(monkeypatch, total=100, epoch=10.0)
    for _ in range(100):
        run.step(0.2, 1.0, 0.5, None)
    steps = [int(re.search(r"step (\d+)/100", line)[1]) for line in printed()]
    assert steps == [1, 2, *range(10, 101, 10)]
    run = Run(monkeypatch, total=100, epoch=2.5)  # half a second: they share lines
    for _ in range(99):
        run.step(0.2, 1.0, 0.5, None)
    lines = printed()
    steps = [int(re.search(r"step (\d+)/100", line)[1]) for line in lines]
    assert steps[:5] == [1, 2, 8, 13, 18]
    assert len(lines) < 25
    run.step(0.2, 1.0, 0.5, None)
    (last,) = printed()
    assert "step 100/100 (epoch 40.0)" in last and last.endswith(", done")


def test_several_steps_a_call_and_a_run_that_goes_on(monkeypatch, printed) -> None:
    run = Run(monkeypatch, start=50, total=100)
    run.step(30.0, 5.0, 0.5, None, count=10)
    (line,) = printed()
    assert "step 60/100" in line and line.endswith("the first 10 steps took 30 s")
    run.step(20.0, 4.0, 0.5, None, count=10)
    (line,) = printed()
    assert "step 70/100" in line and "NT-Xent 4.000" in line
    assert line.endswith("16 views/s, 1 min left")


def test_a_word_on_health_once_there_is_one(monkeypatch, printed) -> None:
    health = types.SimpleNamespace(diagnosis=None)
    run = Run(monkeypatch, health=health)
    run.step(1.0, 5.0, 0.5, None)
    assert "(chance 6.2%), the first step" in printed()[0]
    health.diagnosis = Diagnosis("collapsed", "a reason")
    run.step(1.0, 5.0, 0.5, None)
    assert "(chance 6.2%), collapsed, 32 views/s" in printed()[0]


def test_steps_that_are_left_out_change_no_figure(monkeypatch, printed) -> None:
    run = Run(monkeypatch)
    run.step(1.0, 5.0, 0.5, None)
    run.step(1.0, None, None, None)
    assert ["NT-Xent 5.000, contrastive accuracy 50.0%" in line for line in printed()] == [True] * 2


def test_fine_tuning(monkeypatch, printed) -> None:
    run = Run(monkeypatch, ("supervised_loss", "supervised_acc"), views=16)
    run.step(1.0, 2.3, 0.125)
    run.step(1.0, 1.5, 0.875)
    assert "cross-entropy 1.500, supervised accuracy 87.5%, 16 views/s" in printed()[1]


def test_other_workers_say_less(monkeypatch, printed) -> None:
    run = Run(monkeypatch, worker="worker 1 of 2", epoch=5.0)
    for _ in range(100):
        run.step(2.0, 1.0, 0.5, None)
    lines = printed()
    assert all(line.startswith("14:03:22 worker 1 of 2, step ") for line in lines)
    steps = [int(re.search(r"step (\d+)/100", line)[1]) for line in lines]
    assert steps == [1, 2, 32, 62, 92, 100]


def on_a_terminal(function: Callable[[], None]) -> str:
    """Calls a function while stderr is a terminal; returns all that comes onto it."""
    reading, writing = os.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 24, 140, 0, 0))
    with os.fdopen(writing, "w") as stream, contextlib.redirect_stderr(stream):
        function()
    shown = b""
    with contextlib.suppress(OSError):  # Linux's way to say that nobody writes any more
        while more := os.read(reading, 100_000):
            shown += more
    os.close(reading)
    return shown.decode()


def test_a_bar_on_a_terminal_and_warnings_on_lines_of_their_own(monkeypatch) -> None:
    def watch() -> None:
        assert terminal.is_watched()
        run = Run(monkeypatch)
        with workflows.messages_are_shown():
            run.step(1.0, 7.0, 0.0625, 0.125)
            run.step(0.2, 5.0, 0.5, 0.25)
            run.step(0.2, 4.0, 0.5, 0.25)
            warnings.warn("of a library", stacklevel=1)
            run.step(0.2, 3.0, 0.5, 0.75)
        run.progress.close()

    assert not terminal.is_watched()
    with warnings.catch_warnings():  # pytest has changed what becomes of them
        warnings.simplefilter("always")
        shown = on_a_terminal(watch)
    lines = [line.split("\r")[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    (warned,) = (line for line in lines if "UserWarning: of a library" in line)
    assert "|" not in warned
    assert "3/100" not in shown, "drawn twice a second at most"
    last = shown.rstrip().split("\r")[-1]
    assert last.startswith("4/100 |")
    assert "NT-Xent 4.000, contrastive accuracy 50.0% (chance 6.2%), probe accuracy 41.7%" in last


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3700, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_430, "1 d"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert terminal.duration(seconds) == words


def test_damage_beside_the_pixels_is_no_warning() -> None:
    """Pillow warns of each such file, and there may be thousands."""
    file = io.BytesIO()
    entry = b"\x12\x01\x03\x00"  # the orientation, and then nothing
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        Image.open(file).getexif()
        assert ["Corrupt EXIF" in str(each.message) for each in warned] == [True]
        fresh = runpy.run_path(pictures.__file__)  # sets its filter, which pytest has taken back
        file.seek(0)
        fresh["open_picture"](file).getexif()
        assert len(warned) == 1
