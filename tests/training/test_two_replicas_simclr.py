"""Images of a user's own on two replicas: the same views, losses and weights as on one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reports import report_of


@pytest.fixture(scope="module")
def report() -> dict[str, dict]:
    return train_on(2)


def train_on(replicas: int) -> dict[str, dict]:
    return report_of(__file__, "two_replicas_simclr.py", str(replicas))


@pytest.mark.parametrize("names", [("one", "two"), ("whole", "parts")])
def test_training_equals_one_device(report, names: tuple[str, str]) -> None:
    """Also where two replicas encode a batch in parts, and one device all at once."""
    one, two = (report[name] for name in names)
    assert (one["replicas"], two["replicas"]) == (1, 2)
    check_same(one, two)


def test_four_replicas_encode_in_parts_what_one_does_at_once() -> None:
    report = train_on(4)
    assert report["parts"]["replicas"] == 4
    check_same(report["whole"], report["parts"])


def check_same(one: dict, two: dict) -> None:
    assert one["excluded"] == two["excluded"] != []
    assert one["history"].keys() == two["history"].keys()
    for name, values in one["history"].items():
        np.testing.assert_allclose(two["history"][name], values, rtol=1e-4, err_msg=name)
    assert one["moved"] > 1e-4
    for first, second in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)


def test_evaluation_equals_one_device_also_of_an_uneven_batch(report) -> None:
    one, two = report["one"]["measured"], report["two"]["measured"]
    assert set(one) >= {"contrast_loss", "contrast_acc", "eval/label_top_1_accuracy"}
    assert two == pytest.approx(one, rel=1e-4)
    for name in ("one", "two"):
        assert report[name]["again"] == report[name]["measured"]


def test_health_is_measured_as_on_one_device(report) -> None:
    """Outside of steps, with the statistics that all replicas share."""
    one, two = report["one"]["health"], report["two"]["health"]
    assert len(one) == 9
    assert two == pytest.approx(one, rel=1e-3)


def test_a_step_that_one_replica_breaks_is_left_out_on_both(report) -> None:
    whole, broken = report["skipping"]["whole"], report["skipping"]["broken"]
    assert (whole["left_out"], broken["left_out"], broken["in_a_row"]) == (0, 1, 0)
    assert broken["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    for first, second in zip(whole["weights"], broken["weights"], strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-6, atol=1e-7)
