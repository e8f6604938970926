"""Damaged SavedModels: refused with a message by whoever reads them, and nothing is changed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from simclr_tf.checkpoints import find_weights, restore_parts
from simclr_tf.errors import UserError
from tests.serving.conftest import make_network

FILES = ("variables/variables.index", "variables/variables.data-00000-of-00001", "saved_model.pb")
rng = np.random.default_rng(0)


def _damage(path: Path) -> None:
    """Flips bits, overwrites, cuts out or cuts off."""
    data = bytearray(path.read_bytes())
    kind, start, length = rng.integers(4), int(rng.integers(len(data))), int(rng.integers(1, 50))
    if kind == 0:
        for _ in range(rng.integers(1, 5)):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[start : start + length] = rng.bytes(length)
    elif kind == 2:
        del data[start : start + length]
    else:
        del data[start:]
    path.write_bytes(data)


def _damaged(folder: Path, tmp_path: Path, file: str) -> Path:
    target = tmp_path / "base/1"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    _damage(target / file)
    return target


def test_training_refuses_them_in_one_line(exported, tmp_path) -> None:
    model = exported["float32"]
    network = make_network(model.description, seed=1)
    before = [variable.numpy() for variable in network.variables]
    scale = 2**10 if sys.platform == "linux" else 1  # ru_maxrss is in KiB there
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    for number in range(200):
        damaged = _damaged(model.folder, tmp_path, FILES[number % 2])
        begin = time.monotonic()
        with pytest.raises(UserError) as refused:
            restore_parts(network.parts, find_weights(str(damaged)))
        assert str(refused.value).count("\n") == 0 and str(damaged) in str(refused.value)
        assert time.monotonic() - begin < 20
    for variable, value in zip(network.variables, before):
        np.testing.assert_array_equal(variable, value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale - start < 2**28


def test_the_c_loader_refuses_them(exported, program, tmp_path) -> None:
    refused = 0
    for number in range(9):
        damaged = _damaged(exported["float32"].folder, tmp_path, FILES[number % 3])
        done = subprocess.run(
            [program, "--newest", damaged.parent, "1"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert done.returncode in (0, 1), done  # a crash would be negative
        assert done.returncode == 0 or f"{damaged}: " in done.stderr
        refused += done.returncode
    assert refused >= 7  # a bit of a name in the graph may not matter
