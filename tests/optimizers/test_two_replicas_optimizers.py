"""Two logical CPUs reach the weights of one device, exclusions and schedule included."""

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)
from simclr_tf import compat
from tests.reports import report_of

NAMES = ["lars", "adamw"] + (["lamb"] if compat.addons() else [])


@pytest.fixture(scope="module")
def report():
    return report_of(__file__, "two_replicas_optimizers.py")


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
