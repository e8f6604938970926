"""Means, intervals, the table and the CSV file."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from simclr_tf.evaluation.figures import Figure, as_csv, table

pytestmark = pytest.mark.smoke


def figure(*values: float, case: str = "90 epochs", metric: str = "top-1", images: int = 10_000):
    return Figure(
        *("linear", case, metric, values),
        dataset="digits",
        labels=1442,
        test_images=images,
        settings={"momentum": 0.9, "strength": list(values)},
        repeated="seeds",
    )


def test_the_interval_is_students() -> None:
    values = (0.91, 0.93, 0.925, 0.90)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert figure(*values).interval() == pytest.approx(expected)
    assert figure(0.91).interval() is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (figure(0.5), "top-1 50.00% (5,000 of 10,000)"),
        (figure(0.5, images=10), "top-1 50.00% (5 of 10; 95% interval 24-76%)"),
        (
            figure(0.5, 0.6),
            "top-1 55.00% (95% interval 0.00% to 100.00% over 2 seeds; 10,000 test images)",
        ),
        (
            figure(0.5, 0.5, 0.5, images=100),
            "top-1 50.00% (95% intervals: 50.00% to 50.00% over 3 seeds, "
            "40-60% of 100 test images)",
        ),
        (figure(0.25, metric="NMI"), "NMI 0.250 (10,000 test images)"),
        (figure(0.25, metric="mean per class"), "mean per class 25.00% (10,000 test images)"),
    ],
)
def test_what_is_said(given: Figure, said: str) -> None:
    assert given.describe() == said


def test_settings_that_figures_share_are_said_once() -> None:
    lines = table([figure(0.5, case="a"), figure(0.25, case="bb")]).splitlines()
    assert lines == [
        "  linear               a   top-1 50.00% (5,000 of 10,000); strength 0.5",
        "                       bb  top-1 25.00% (2,500 of 10,000); strength 0.25",
        "                       (momentum 0.9)",
    ]


def test_a_csv_file_is_read_back() -> None:
    rows = [{**figure(0.5, 0.75).to_json(), "step": 7, "encoder_sha256": "ab"}]
    (row,) = csv.DictReader(io.StringIO(as_csv(rows)))
    assert (float(row["value"]), row["protocol"], row["repetitions"]) == (0.625, "linear", "2")
    assert json.loads(row["settings"]) == {"momentum": 0.9, "strength": [0.5, 0.75]}
    assert float(row["low"]) < 0.5
    assert "" not in row.values()
