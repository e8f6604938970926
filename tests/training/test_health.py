"""When health is looked at while a run is trained, and what becomes of what is found."""

from __future__ import annotations

import logging
import types
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.evaluation import encode_views, measure_health, view_distance
from simclr_tf.training import health as health_module
from simclr_tf.training.diagnosis import Diagnosis
from simclr_tf.training.health import Health, is_judged, looks_of

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 2, 4, 4, 3), np.uint8)


class Run:
    """A run of 100 steps on a clock of its own; a look takes so many seconds."""

    def __init__(self, monkeypatch, *, look: float, start: int = 0, pictures=PICTURES) -> None:
        self.now, self.look_takes = 50.0, look
        self.samples = 0
        self.pictures = pictures
        self.word = "fine"
        self.judged: list[list[float]] = []
        clock = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(health_module, "time", clock)
        monkeypatch.setattr(health_module, "_STEPS", 0)
        self.health = Health(
            self.network, self.sample, self.judge, start=start, total=100, at_once=5
        )

    def network(self, images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        assert not training
        self.now += self.look_takes / 3  # three parts of 12 views
        flat = tf.reshape(images, [len(images), -1])
        return {"proj_head_input": flat[:, :7], "proj_head_output": flat[:, :5]}

    def sample(self) -> np.ndarray:
        self.samples += 1
        return self.pictures

    def judge(self, looks: Sequence[dict[str, float]]) -> Diagnosis:
        self.judged.append([look.get("contrast_loss", 0.0) for look in looks])
        return Diagnosis(self.word, "a reason")

    def steps(self, seconds: float, *steps: int) -> list[int]:
        """Takes steps of so many seconds each, with summaries at some; returns those of looks."""
        looks = []
        for step in steps:
            self.now += seconds
            if self.health.look(step, float(step)):
                looks.append(step)
        return looks


def test_ten_looks_a_run_with_the_figures_of_the_same_views(monkeypatch) -> None:
    run = Run(monkeypatch, look=0.0)
    assert run.steps(1000.0, *range(4, 101, 4)) == [12, 20, 32, 40, 52, 60, 72, 80, 92, 100]
    assert run.samples == 1
    losses = [32.0, 40.0, 52.0, 60.0, 72.0, 80.0, 92.0, 100.0]
    assert run.judged == [losses[:end] for end in range(1, 9)], "from three tenths on, with losses"
    run = Run(monkeypatch, look=0.0, start=45)
    assert run.steps(1000.0, *range(46, 56)) == [50]
    expected = measure_health(*encode_views(run.network, PICTURES))
    expected["view_distance"] = view_distance(PICTURES)
    run.now += 1000
    found = run.health.look(60, None)
    assert found == {f"health/{name}": pytest.approx(v) for name, v in expected.items()}


def test_looks_wait_until_they_are_a_small_part_of_the_time(monkeypatch) -> None:
    """Steps of a second: a look of one second is 2% of fifty, and the last is taken anyway."""
    run = Run(monkeypatch, look=1.0)
    assert run.steps(1.0, *range(1, 101)) == [50, 99, 100]
    run = Run(monkeypatch, look=0.1)
    looks = run.steps(0.1, *range(1, 101))
    assert looks == [100], "before the first look nobody knows how long it takes"
    run = Run(monkeypatch, look=30.0)
    assert run.steps(10.0, *range(1, 101)) == [10, 100], "a long one is paid back first"


def test_the_log_has_a_line_where_what_is_found_changes(monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO, "simclr_tf")
    run = Run(monkeypatch, look=0.0)
    run.steps(1000.0, 10, 20)
    assert run.health.diagnosis is None, "of healthy runs, too, z point all one way by then"
    run.steps(1000.0, 30, 40)
    assert run.health.diagnosis.word == "fine"
    run.word = "sick"
    run.steps(1000.0, 50, 60)
    assert caplog.messages == ["step 30: fine: a reason", "step 50: sick: a reason"]


def test_looks_are_found_again_in_the_lines_of_a_run() -> None:
    names = {"train/contrast_loss": 1.0, "learning_rate": 0.1}
    lines = [
        {"step": 200, **names, "health/deviation": 0.1},
        {"step": 300, **names, "health/deviation": 0.3, "health/rank_me_h": 4.0},
        {"step": 350, **names},
        {"step": 1000, "health/deviation": 1.0},
    ]
    first = {"deviation": 0.3, "rank_me_h": 4.0, "contrast_loss": 1.0}
    assert looks_of(lines, 1000) == [first, {"deviation": 1.0}]
    assert looks_of(lines, 10_000) == []


def test_what_is_seen_early_is_not_judged() -> None:
    judged = [is_judged(*each) for each in ((299, 1000), (300, 1000), (99, 120), (100, 120))]
    assert judged == [False, True, False, True]


def test_too_few_images_are_no_figures(monkeypatch) -> None:
    run = Run(monkeypatch, look=0.0, pictures=PICTURES[:1])
    assert run.steps(1000.0, 50, 100) == []
    assert run.health.diagnosis is None
