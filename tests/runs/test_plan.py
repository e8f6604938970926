"""Derived numbers, against golden/numerics.json and by hand."""

from __future__ import annotations

import pytest

from simclr_tf.runs import plan


def test_learning_rate_and_length_arithmetic() -> None:
    assert plan.scaled_learning_rate(0.3, "linear", 4096) == pytest.approx(4.8)
    assert plan.scaled_learning_rate(0.075, "sqrt", 4096) == pytest.approx(4.8)
    assert plan.total_steps(0, 100, 50_000, 512) == 9766  # golden/numerics.json
    assert plan.total_steps(7, 100, 50_000, 512) == 7
    assert plan.steps_of_epochs(10, 50_000, 512) == 976
