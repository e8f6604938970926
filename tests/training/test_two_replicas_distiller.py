"""A student on two replicas, of uneven batches and labels: as on one, of a teacher that stays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reports import report_of


@pytest.fixture(scope="module")
def report() -> dict[str, list[dict]]:
    return report_of(__file__, "two_replicas_distiller.py")


@pytest.mark.parametrize("weight", ["1.0", "0.3"])
def test_training_equals_one_device(report, weight: str) -> None:
    one, two = report[weight]
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert one["history"].keys() == two["history"].keys()
    for name, values in one["history"].items():
        np.testing.assert_allclose(two["history"][name], values, rtol=1e-4, err_msg=name)
    assert ("supervised_loss" in one["history"]) == (weight == "0.3")
    assert one["moved"] > 1e-4
    for first, second in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", ["1.0", "0.3"])
def test_every_copy_of_the_teacher_stays(report, weight: str) -> None:
    one, two = report[weight]
    (only,) = one["teacher"][0]
    assert one["teacher"] == two["teacher"] == [[only], [only]]
