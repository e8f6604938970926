"""What is said of figures: sick runs are called sick, and healthy ones healthy.

`health_runs.py` has trained them. A star before a run's name says that nobody looked at its figures
before thresholds were chosen.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simclr_tf.training.diagnosis import Diagnosis, Judge
from simclr_tf.training.health import is_judged

RECORDED = json.loads(Path(__file__).with_name("health_runs.json").read_text())
RUNS = RECORDED["runs"]
# What may be said at the end of a run that was meant to be so.
SAID = {
    "healthy": {"healthy"},
    "learning rate": {"collapsed", "dimensionally collapsed", "learning rate too high"},
    "weight decay": {"collapsed"},
    "temperature too high": {"temperature too high"},
    "temperature too low": {"temperature too low"},
    "views too alike": {"views too alike"},
}
SOUND = {
    "rank_me_h": 20.0,
    "lidar_h": 40.0,
    "rank_me_z": 30.0,
    "lidar_z": 45.0,
    "deviation": 0.98,
    "alignment": 1.0,
    "uniformity": -3.1,
    "positive_similarity": 0.5,
    "hardest_negative_similarity": 0.8,
    "view_distance": 0.7,
}


def looks_of(name: str) -> list[dict[str, float]]:
    rows = RUNS[name]["looks"]
    total = rows[-1][0]
    judged = [row for row in rows if is_judged(row[0], total)]
    views = {"view_distance": RUNS[name]["view_distance"]}
    return [{**views, **dict(zip(RECORDED["figures"], row[1:]))} for row in judged]


def judge(name: str) -> Diagnosis:
    run = RUNS[name]
    return Judge(run["batch"], run["temperature"])(looks_of(name))


def test_there_are_ten_of_each_and_some_that_chose_no_threshold() -> None:
    healthy = [name for name, run in RUNS.items() if run["meant"] == "healthy"]
    sick = [name for name, run in RUNS.items() if run["meant"] in SAID.keys() - {"healthy"}]
    assert min(len(healthy), len(sick)) >= 10
    assert sum(name.startswith("*") for name in healthy + sick) >= 5


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if run["meant"] in SAID])
def test_recorded_runs(name: str) -> None:
    meant = RUNS[name]["meant"]
    assert judge(name).word in SAID[meant]
    looks, settings = looks_of(name), (RUNS[name]["batch"], RUNS[name]["temperature"])
    for until in range(1, len(looks)):
        word = Judge(*settings)(looks[:until]).word
        if meant == "healthy":
            assert word in ("healthy", "not learned yet"), "no false alarm on the way"
        else:
            assert word != "healthy"


def word_of(*looks: dict[str, float], batch: int = 128, temperature: float | None = 0.2) -> str:
    return Judge(batch, temperature)([{**SOUND, **look} for look in looks]).word


def test_each_word_has_a_figure_that_it_is_told_by() -> None:
    assert word_of({}) == "healthy"
    assert word_of({"deviation": 0.3}) == "collapsed"
    assert word_of({"rank_me_h": 8.0}) == "dimensionally collapsed"
    assert word_of({"rank_me_z": 8.0}) == "dimensionally collapsed"
    assert word_of({"alignment": 0.02}) == "views too alike"
    assert word_of({"view_distance": 0.2}) == "views too alike"
    assert word_of({"alignment": 1.85}) == "not learned yet"
    assert word_of({"alignment": 2.3}) == "learning rate too high"
    collapsed = {"deviation": 0.3}
    assert word_of(collapsed, {}) == "healthy", "once may be an accident"
    assert word_of(collapsed, collapsed, {}) == "learning rate too high"
    assert word_of({"deviation": 0.3}, temperature=0.005) == "temperature too low"
    assert word_of({}, temperature=0.005) == "healthy", "what works is not blamed"
    assert word_of({"contrast_loss": 20.0}, temperature=0.005) == "temperature too low"
    assert word_of({"contrast_loss": 20.0}) == "healthy"
    assert word_of({}, temperature=5.0) == "temperature too high"
    assert word_of({}, temperature=None) == "healthy"
    assert Judge(128, 0.2)([{"not_finite": 0.25}]).reason.startswith("in evaluation mode 25% of ")
    assert Judge(128, 0.2)([{"not_finite": 0.25}, SOUND]).word == "healthy"


def test_a_temperature_is_too_high_if_the_best_loss_is_close_to_that_of_views_all_alike() -> None:
    """With a batch of 2, of other images there are two views only, and the loss is low soon."""
    assert [word_of({}, batch=2, temperature=t) for t in (2.0, 20.0)] == [
        "healthy",
        "temperature too high",
    ]
    assert word_of({}, batch=4096, temperature=2.5) == "temperature too high"
