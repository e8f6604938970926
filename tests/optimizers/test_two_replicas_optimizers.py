"""Two logical CPUs reach the weights of one device, exclusions and schedule included."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)
from simclr_tf import compat

ROOT = Path(__file__).parents[2]
NAMES = ["lars", "adamw"] + (["lamb"] if compat.addons() else [])


@pytest.fixture(scope="module")
def report():
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_replicas_optimizers.py"))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_weights_equal_one_device(report, name):
    one, two = report["optimizers"][name]["one"], report["optimizers"][name]["two"]
    moved = np.abs(np.subtract(one, report["initial"])).max(axis=(1, 2))
    assert np.all(moved > 1e-4), "some variable did not move: nothing is compared"
    assert len(two["replicas"]) == 2
    for replica in two["replicas"]:
        np.testing.assert_allclose(replica, one, rtol=1e-6, atol=1e-6)


def test_mirrored_variables_keep_their_positions(report):
    assert report["optimizers"]["lars"]["two"]["excluded"] == [1]
