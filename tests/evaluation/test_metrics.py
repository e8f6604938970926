"""The paper's figures against loops."""

from __future__ import annotations

import numpy as np
import pytest

from simclr_tf.evaluation.metrics import mean_average_precision, mean_per_class, top_1

pytestmark = pytest.mark.smoke

RNG = np.random.default_rng(5)
LABELS = RNG.choice(4, 60, p=[0.7, 0.1, 0.1, 0.1])
SCORES = RNG.normal(size=(60, 4)) + 1.2 * np.eye(4)[LABELS] + [1, 0, 0, 0]


def test_top_1_and_mean_per_class_equal_loops() -> None:
    hits = [int(np.argmax(row)) == label for row, label in zip(SCORES, LABELS)]
    assert top_1(SCORES, LABELS) == pytest.approx(sum(hits) / 60)
    each = []
    for label in range(4):
        own = [hit for hit, own in zip(hits, LABELS) if own == label]
        each.append(sum(own) / len(own))
    assert mean_per_class(SCORES, LABELS) == pytest.approx(sum(each) / 4)
    assert mean_per_class(SCORES, LABELS) < top_1(SCORES, LABELS) - 0.05


def slow_average_precision(scores: np.ndarray, found: np.ndarray) -> float:
    """As VOC2007's development kit has it."""
    ranked = [hit for _, hit in sorted(zip(-scores, found), key=lambda pair: pair[0])]
    points = []
    for tenth in range(11):
        best = 0.0
        for count in range(1, len(ranked) + 1):
            hits = sum(ranked[:count])
            if 10 * hits >= tenth * sum(ranked):
                best = max(best, hits / count)
        points.append(best)
    return sum(points) / 11


def test_eleven_points_equal_loops() -> None:
    several = np.eye(4, dtype=bool)[LABELS]
    several[:, 3] |= SCORES[:, 2] > 0.5
    expected = [slow_average_precision(SCORES[:, c], several[:, c]) for c in range(4)]
    assert mean_average_precision(SCORES, several) == pytest.approx(np.mean(expected))
    assert 0.2 < np.mean(expected) < 0.9
    several[:, 1] = False  # nobody has it: nothing to find
    expected.pop(1)
    assert mean_average_precision(SCORES, several) == pytest.approx(np.mean(expected))
