"""Accuracies in words, and the interval beside them."""

from __future__ import annotations

import pytest
from scipy import stats

from simclr_tf.evaluation.accuracy import describe_accuracy, wilson_interval

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (0, 7), (4, 7), (7, 7), (50, 355), (900, 999)])
def test_interval_is_scipys(hits: int, count: int) -> None:
    found = wilson_interval(hits / count, count)
    expected = stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((4 / 7, 7), "57.14% (4 of 7; 95% interval 25-84%)"),
        ((0.0, 7), "0.00% (0 of 7; 95% interval 0-35%)"),
        ((0.9, 999), "90.00% (899 of 999; 95% interval 88-92%)"),
        ((0.9, 10000), "90.00% (9,000 of 10,000)"),
    ],
)
def test_what_is_said(arguments: tuple[float, int], said: str) -> None:
    assert describe_accuracy(*arguments) == said


def test_a_mean_has_no_number_of_hits() -> None:
    said = describe_accuracy(0.25, 20, deviation=0.0312)
    assert said == "25.00% +- 3.12% (20 test images; 95% interval 11-47%)"
    assert describe_accuracy(0.25, 2000, deviation=0.0312) == "25.00% +- 3.12% (2,000 test images)"
