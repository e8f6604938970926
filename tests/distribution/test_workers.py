"""TF_CONFIG says who the machines are; tests/test_workers.py has them train."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from simclr_tf.distribution import (
    Workers,
    choose_strategy,
    noticing_lost_workers,
    sum_over_workers,
    workers_of,
)
from simclr_tf.errors import LostWorker, UserError

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


def configure(monkeypatch: pytest.MonkeyPatch, cluster: dict, kind: str, index: int) -> None:
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))


@pytest.mark.parametrize(
    ("kind", "index", "place"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]
)
def test_places(kind: str, index: int, place: int, monkeypatch) -> None:
    configure(monkeypatch, CLUSTER, kind, index)
    workers = Workers.from_environment()
    assert workers == Workers(("a:1", "b:1", "c:1"), place)
    assert workers.count == 3
    assert workers.is_chief == (place == 0)
    assert workers.own_folder("gs://b/run") == (
        "gs://b/run" if place == 0 else f"gs://b/run/worker_{place}"
    )


def test_without_a_chief_the_first_worker_is(monkeypatch) -> None:
    configure(monkeypatch, {"worker": ["b:1", "c:1"]}, "worker", 0)
    assert Workers.from_environment().is_chief
    configure(monkeypatch, {"worker": ["b:1", "c:1"]}, "worker", 1)
    assert not Workers.from_environment().is_chief


@pytest.mark.parametrize("text", ["", "  "])
def test_none_where_nothing_is_said(text: str, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    assert Workers.from_environment() is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}',
    ],
)
@pytest.mark.parametrize("name", ["auto", "multi_worker"])
def test_what_makes_no_sense_is_one_line_at_once(text: str, name: str, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG") as error:
        choose_strategy(name)
    assert len(str(error.value).splitlines()) == 1


def test_one_machine_sums_and_loses_nobody(monkeypatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    assert workers_of(strategy) == Workers()
    assert sum_over_workers(7, strategy, Workers()) == 7
    with pytest.raises(tf.errors.UnavailableError), noticing_lost_workers(Workers()):
        raise tf.errors.UnavailableError(None, None, "the file system")


def test_lost_worker_is_told_from_other_errors() -> None:
    workers = Workers(("a:1", "b:1"), 1)
    message = "{{node x}} Collective ops is aborted by: Task 0 is gone. Check its log.\nMore."
    expected = r"worker 1 of 2 .* \(Task 0 is gone\); start all workers"
    with pytest.raises(LostWorker, match=expected), noticing_lost_workers(workers):
        raise tf.errors.UnavailableError(None, None, message)
    with pytest.raises(tf.errors.ResourceExhaustedError), noticing_lost_workers(workers):
        raise tf.errors.ResourceExhaustedError(None, None, "memory")
