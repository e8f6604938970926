"""Two logical CPUs give what one gives, on the same global batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).parents[1]


def train(devices: int, folder: Path, *flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tests.train_on_replicas", str(devices), str(folder)]
    return subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)


def losses(folder: Path) -> list[float]:
    events = EventAccumulator(str(folder / "train"), size_guidance={"tensors": 0}).Reload()
    return [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors("train/total_loss")]


@pytest.mark.parametrize("mode", ["pretrain", "finetune"])
def test_two_replicas_equal_one(mode: str, tmp_path: Path) -> None:
    flags = [f"--train_mode={mode}", "--mode=train_then_eval", "--train_steps=3"]
    flags += ["--train_summary_steps=1", "--weight_decay=1e-3"]
    for devices in (1, 2):
        done = train(devices, tmp_path / str(devices), *flags)
        assert done.returncode == 0, done.stderr
        if devices == 2:
            assert "Mirrored on CPU, 2 x 8 images a step" in done.stdout
    one, two = (np.load(tmp_path / d / "weights.npz") for d in "12")
    assert set(one.files) == set(two.files)
    for name in one.files:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=2e-5, err_msg=name)
    assert len(losses(tmp_path / "1")) == 3
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "2"), rtol=1e-5)
    first, second = (json.loads((tmp_path / d / "result.json").read_text()) for d in "12")
    assert first.keys() == second.keys()
    assert first["eval/label_top_1_accuracy"] == pytest.approx(
        second["eval/label_top_1_accuracy"], abs=2 / 355
    )


def test_batch_that_replicas_do_not_divide(tmp_path: Path) -> None:
    done = train(2, tmp_path / "run", "--train_batch_size=15", "--train_steps=2")
    assert done.returncode == 2
    assert "--train_batch_size=15 cannot be divided among 2 replicas" in done.stderr
    assert not (tmp_path / "run").exists()
