"""Two logical CPUs compute what one device computes on the same global batch."""

import numpy as np
import pytest

from tests.reports import report_of

SIZES = {
    "even_static": [3, 3],
    "even": [3, 3],
    "uneven": [3, 2],
    "one_replica_empty": [3, 0],
}


@pytest.fixture(scope="module")
def report():
    return report_of(__file__, "two_replicas.py")


def test_logical_cpus_are_mirrored(report):
    assert report["strategy"] == "MirroredStrategy"
    assert report["replicas"] == 2


@pytest.mark.parametrize("batch", [*SIZES, "uneven_dcl", "uneven_sup_con"])
def test_loss_and_update_equal_one_device(report, batch):
    one, two = report[batch]["one"], report[batch]["two"]
    if "labels" in report[batch]:
        first, second = report[batch]["labels"][:3], report[batch]["labels"][3:]
        assert {-1, 0, 1} == {*first, *second} and {*first} & {*second}, "classes of one replica"
    assert two["size"] == SIZES.get(batch, [3, 2]), (
        "the data was not split as this test means it to be"
    )
    assert np.abs(one["delta"]).max() > 0.01, "a step too small to tell right from wrong"
    np.testing.assert_allclose(sum(two["loss"]), one["loss"], rtol=1e-6)
    np.testing.assert_allclose(two["delta"], one["delta"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch", SIZES)
def test_metrics_of_the_replicas_average_to_those_of_one_device(report, batch):
    one, two = report[batch]["one"], report[batch]["two"]
    for metric in ("accuracy", "entropy"):
        mean = np.dot(two["share"], two[metric])
        np.testing.assert_allclose(mean, one[metric], rtol=1e-5)


@pytest.mark.parametrize("batch", SIZES)
def test_gather_keeps_the_order_of_replicas(report, batch):
    two = report[batch]["two"]
    first, second = SIZES[batch]
    assert two["offset"] == [0, first]
    np.testing.assert_allclose(two["share"], [first / (first + second), second / (first + second)])
    for gathered in two["gathered"]:
        np.testing.assert_allclose(gathered, report[batch]["pairs"])


@pytest.mark.parametrize(("batch", "sizes"), [("even", [2, 2]), ("uneven", [3, 2])])
def test_gather_is_exact_in_bfloat16(report, batch, sizes):
    two = report[f"bfloat16_{batch}"]
    count = sum(sizes)
    rows = np.arange(2.0 * count).reshape(count, 2)
    for gathered in two["gathered"]:
        np.testing.assert_array_equal(gathered, rows)
    # Replica r weighs number i by i (1 + r): together by 3 i.
    first, second = np.split(3 * rows, [sizes[0]])
    np.testing.assert_array_equal(two["gradient"][0], first)
    np.testing.assert_array_equal(two["gradient"][1], second)
