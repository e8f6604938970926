"""Memory and time before a run: measured, refused, and without a trace in the run."""

from __future__ import annotations

import json
import re
import types
from pathlib import Path

import pytest
import tensorflow as tf

from simclr_tf import memory
from simclr_tf.config import parse
from simclr_tf.errors import RunFailed
from simclr_tf.runs import buffers, cost, preparation, timing
from simclr_tf.training.simclr import SimCLR
from tests import processes
from tests.conftest import TINY
from tests.runs import measured_peak
from tests.test_training_runs import assert_same, weights_of


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures small runs too, on small batches."""
    monkeypatch.setattr(cost, "_sizes", lambda batch, replicas: iter((2, 4)))
    monkeypatch.setattr(cost, "_SMALL_SHARE", 0.0)
    monkeypatch.setattr(cost, "_SHORT_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_PACE_SECONDS", 0.1)


def test_the_peak_is_foreseen_from_small_batches() -> None:
    """Within a third of what a step of the whole batch then takes."""
    printed = processes.run(module="tests.runs.measured_peak")
    found = json.loads(printed.splitlines()[-1])
    rise = found["large"] - found["small"]
    assert rise > 100e6  # else nothing is measured
    images = measured_peak.BATCH - measured_peak.SMALL[-1]
    assert found["image"] * images == pytest.approx(rise, rel=1 / 3)
    assert found["whole"] == pytest.approx(found["large"] + cost._BESIDE, rel=1 / 3)
    assert 0 < found["seconds"] < 1


def test_what_cannot_fit_is_refused_with_what_fits(
    always: None, run, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = cost._Memory(fixed=1e9, image=1e8)
    monkeypatch.setattr(cost, "_measure_step", lambda *_: (needed, 0.1))
    monkeypatch.setattr(memory, "room", lambda: int(4e9))
    assert run("--train_batch_size=64", f"--model_dir={tmp_path / 'a'}") == 2
    line = capsys.readouterr().err
    assert (
        "--train_batch_size=64 needs about 7.4 GB, 4 GB are free; give --micro_batch_size=16, "
        "--train_batch_size=16" in line
    )
    assert "with --learning_rate_scaling=sqrt, or a smaller --image_size or network" in line
    assert not (tmp_path / "a").exists()


def test_the_batch_that_fits() -> None:
    """The largest power of two times the replicas; and nothing where no batch does."""
    for room, replicas, remedy in (
        (4e9, 1, "`train_batch_size=16` with"),
        (4e9, 3, "`train_batch_size=12` with"),
        (1e9, 1, "give a smaller `image_size` or network"),
    ):
        plan = types.SimpleNamespace(replicas=replicas)
        run = types.SimpleNamespace(config=parse([]), plan=plan)
        error = cost.too_much(run, cost._Memory(fixed=1e9, image=1e8), int(room))  # type: ignore[arg-type]
        assert remedy in str(error)
        assert "cache_dataset" not in str(error)
    run.config = run.config.replace(cache_dataset=True)
    error = cost.too_much(run, cost._Memory(fixed=1e9, image=1e8), int(1e9))  # type: ignore[arg-type]
    assert str(error).endswith("or network, or `cache_dataset=false`")


def test_what_the_start_screen_says() -> None:
    def say(memory: float, seconds: float, waiting: float | None = 0.043) -> list[str]:
        pace = None if waiting is None else timing.RunPace(1.94, 3.0, waiting)
        found = cost.Cost(int(memory), int(8e9), 1.94, seconds, 66.04, "pairs", pace)
        return [text for _, text in found.rows()]

    assert say(3.14e9, 7800) == [
        "about 3.1 GB of 8 GB free",
        "about 2 h 10 min; 1.9 s a step",
        "66 pairs/s; 4% of the time goes into data",
    ]
    assert say(7e9, 20)[:2] == [
        "about 7 GB of 8 GB free, which is close",
        "about 20 s; 1.9 s a step",
    ]
    assert say(1e8, 5.1 * 86400, None)[1:] == ["about 5 d 2 h; 1.9 s a step", "66 pairs/s"]


def test_shuffle_buffer_and_cache_are_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache holds all 1,442 digits in the end: 64 bytes of pixels, a label, what lies beside."""
    config = parse([*TINY, "--cache_dataset"])
    dataset = preparation.open_dataset(config)
    each = 64 + 8 + buffers._BESIDE
    assert buffers.bytes_held(config, dataset) == (1442 * each, 1442 * each)
    monkeypatch.setattr(buffers, "default_shuffle_buffer", lambda *_: 100)
    assert buffers.bytes_held(config, dataset) == (100 * each, 1442 * each)
    # Small ones are cached unasked.
    assert buffers.bytes_held(parse(TINY), dataset) == (100 * each, 1442 * each)
    monkeypatch.setattr(buffers, "caches_unasked", lambda *_: False)
    first, later = buffers.bytes_held(parse(TINY), dataset)  # encoded
    assert first == later
    assert 0 < first < 100 * 1000


def test_weights_are_those_of_a_run_without(
    run, tmp_path: Path, capsys, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[int] = []
    step = SimCLR.train_step

    def train(name: str) -> str:
        flags = ["--train_steps=3", f"--model_dir={tmp_path / name}"]
        assert run(*flags, "--optimizer=momentum", export=False) == 0
        return capsys.readouterr().out

    assert "memory" not in train("without")
    request.getfixturevalue("always")
    monkeypatch.setattr(cost, "_measure_step", lambda *_: (cost._Memory(1e8, 1e3), 0.01))

    def trace(self: SimCLR, batch: object) -> object:
        traced.append(1)
        return step(self, batch)

    monkeypatch.setattr(SimCLR, "train_step", trace)
    printed = train("with")
    assert "  memory     about " in printed
    assert "  time       about " in printed
    assert re.search(r"  speed      [\d,.e+]+ pairs/s; \d+% of the time goes into data", printed)
    assert len(traced) == 1  # what is compiled to be measured is trained with
    assert_same(weights_of(tmp_path / "without"), weights_of(tmp_path / "with"))


def test_a_container_has_its_own_limit(tmp_path: Path) -> None:
    def group(path: str, limit_file: str, limit: str, stat: str) -> None:
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / limit_file).write_text(f"{limit}\n")
        (tmp_path / path / "memory.stat").write_text(stat)

    groups = tmp_path / "groups"
    groups.write_text("0::/a/b\n")
    group("a/b", "memory.max", "max", "anon 5\n")
    (tmp_path / "a/memory.max").write_text("1000\n")
    (tmp_path / "a/memory.stat").write_text("file 900\nanon 50\n")
    assert memory.container_limits(str(groups), str(tmp_path)) == [(1000, 50)]
    groups.write_text("5:cpu:/x\n4:memory:/docker/1\n")  # which the container sees as the root
    group("memory", "memory.limit_in_bytes", "2000", "rss 1\ntotal_rss 7\n")
    assert memory.container_limits(str(groups), str(tmp_path)) == [(2000, 7)]
    assert memory.container_limits(str(tmp_path / "none"), str(tmp_path)) == []
    assert memory.room() > 1e6


def test_a_checkpoint_that_cannot_be_tried_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Because it is large, or the temporary folder is full."""
    layer = tf.keras.layers.Dense(250, use_bias=False)
    model = tf.keras.Sequential([tf.keras.Input([1000]), layer])
    model.compile(tf.keras.optimizers.SGD(momentum=0.9))
    model.optimizer.build(model.trainable_variables)
    monkeypatch.setattr(timing, "_LARGE", 1e6)
    size, seconds = timing.of_checkpoint(model)
    assert 2e6 <= size < 2e6 + 100  # the weights, their momentum, and two numbers
    assert seconds == size / timing._BYTES_A_SECOND
    monkeypatch.setattr(timing, "_LARGE", 1e9)

    def fail(*_: object, **__: object) -> None:
        raise RunFailed("no room")

    monkeypatch.setattr(timing, "TrainingState", fail)
    assert timing.of_checkpoint(model).size == size
