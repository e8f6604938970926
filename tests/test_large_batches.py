"""Runs whose batch is encoded in parts: on one device, and continued on two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import processes
from tests.conftest import TINY

COMMON = [*TINY, "--train_steps=3", "--checkpoint_steps=2", "--train_summary_steps=1"]
COMMON += ["--micro_batch_size=8", "--weight_decay=1e-3", *processes.CALM]


@pytest.fixture(scope="module")
def one(run_here, tmp_path_factory) -> Path:
    """The run on one device."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert run_here(*COMMON, f"--model_dir={folder}", export=False) == 0
    return folder


def test_continued_on_two_devices(one: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    processes.keep_until(one, folder, step=2)
    printed = processes.run(*COMMON, "--num_virtual_devices=2", f"--model_dir={folder}")
    assert "steps of 16 images (8 encoded at a time)" in printed
    assert "continues from step 2" in printed
    processes.assert_close(processes.weights(one), processes.weights(folder))
