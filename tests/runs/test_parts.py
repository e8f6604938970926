"""`--micro_batch_size=auto`: all of a batch if it fits, else the most that does; it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simclr_tf import memory
from simclr_tf.config import parse
from simclr_tf.errors import SettingError
from simclr_tf.runs import cost
from simclr_tf.runs.plan import largest_part, make_plan


@pytest.fixture
def needing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image takes 100 MB, besides 1 GB."""
    monkeypatch.setattr(cost, "_SMALL_SHARE", 0.0)
    monkeypatch.setattr(cost, "_measure_step", lambda *_: (cost._Memory(1e9, 1e8), 1e-6))
    monkeypatch.setattr(cost, "measure", lambda *_, **__: None)


@pytest.mark.parametrize(("room", "found"), [(8e9, 0), (2.3e9, 8)])
def test_as_many_as_fit(
    needing: None, room: float, found: int, run, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(memory, "room", lambda: int(room))
    flags = ["--train_steps=1", "--micro_batch_size=auto", f"--model_dir={tmp_path / 'run'}"]
    assert run(*flags, export=False) == 0
    said = f" steps of 16 images ({found} encoded at a time) = "
    assert (said in capsys.readouterr().out) == (found > 0)
    stored = json.loads((tmp_path / "run/config.json").read_text())
    assert stored["micro_batch_size"] == found
    # It goes on with what it has, whatever fits by then.
    monkeypatch.setattr(memory, "room", lambda: int(1.01e9))
    assert run(*flags, export=False) == 0
    assert "is finished: 1 of 1 steps" in capsys.readouterr().out


def test_where_nothing_fits(needing: None, run, capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "room", lambda: int(1e9))
    assert run("--micro_batch_size=auto", f"--model_dir={tmp_path / 'run'}") == 2
    line = capsys.readouterr().err
    assert "--train_batch_size=16 needs about 2.6 GB, 1 GB are free; give a smaller" in line
    assert not (tmp_path / "run").exists()


def test_largest_part() -> None:
    """By trying all."""
    for batch in (1, 2, 12, 30, 128):
        for most in range(1, 40):
            for replicas in (1, 2, 3):
                sizes = [n for n in range(1, most + 1) if batch % n == 0 and n % replicas == 0]
                assert largest_part(batch, most, replicas) == max(sizes, default=0)


def test_parts_that_are_unequal_are_refused(run, capsys) -> None:
    assert run("--micro_batch_size=5", "--train_steps=1") == 2
    assert "--micro_batch_size=5 does not divide the batch of 16; give 4" in capsys.readouterr().err


def test_to_fine_tune_is_refused(run, capsys) -> None:
    assert run("--train_mode=finetune", "--micro_batch_size=4") == 2
    line = capsys.readouterr().err
    assert "--micro_batch_size=4 is for pre-training, whose loss compares all of a batch" in line


def test_replicas_share_a_part() -> None:
    config = parse(["--train_batch_size=16", "--micro_batch_size=2", "--warmup_epochs=0"])
    with pytest.raises(SettingError, match="micro_batch_size=2` cannot be divided among 4"):
        make_plan(config, train_examples=1000, num_classes=None, replicas=4)
