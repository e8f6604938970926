"""The schedule against the reference's points."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.optimizers import WarmUpCosine

CASES = json.loads((Path(__file__).parents[1] / "golden" / "numerics.json").read_text())["schedule"]


def peak_and_warmup(case) -> tuple[float, int]:
    """The reference's scaling of the learning rate and of the warm-up epochs."""
    batch = case["train_batch_size"]
    scale = batch / 256 if case["learning_rate_scaling"] == "linear" else math.sqrt(batch)
    return case["learning_rate"] * scale, case["warmup_epochs"] * case["num_examples"] // batch


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"batch{case['train_batch_size']}")
def test_equals_the_reference(case):
    peak, warmup = peak_and_warmup(case)
    schedule = WarmUpCosine(peak, warmup, case["train_steps"])
    assert len(case["points"]) >= 8
    for step, expected in case["points"].items():
        value = schedule(tf.constant(int(step), tf.int64))
        np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6 * peak, err_msg=step)


def test_step_by_hand_in_all_integer_types():
    schedule = WarmUpCosine(2.0, warmup_steps=4, total_steps=12)
    expected = {0: 0.0, 1: 0.5, 4: 2.0, 6: 1 + math.sqrt(0.5), 8: 1.0, 12: 0.0, 99: 0.0}
    for step, value in expected.items():
        for kind in (int, tf.Variable, lambda s: tf.constant(s, tf.int64)):
            result = schedule(kind(step))
            assert result.dtype == tf.float32
            np.testing.assert_allclose(result, value, atol=1e-6)


def test_training_may_end_during_the_warm_up():
    schedule = WarmUpCosine(1.0, warmup_steps=10, total_steps=2)
    np.testing.assert_allclose([schedule(0), schedule(1), schedule(2)], [0, 0.1, 0.2], rtol=1e-6)


def test_compiles():
    schedule = WarmUpCosine(0.3, 3, 9)
    compiled = tf.function(schedule, jit_compile=True)
    for step in range(10):
        np.testing.assert_allclose(compiled(tf.constant(step, tf.int64)), schedule(step), atol=1e-6)


def test_survives_serialisation():
    schedules = tf.keras.optimizers.schedules
    config = json.loads(json.dumps(schedules.serialize(WarmUpCosine(0.3, 5, 50))))
    copy = schedules.deserialize(config)
    assert isinstance(copy, WarmUpCosine)
    assert copy.get_config() == {"peak_learning_rate": 0.3, "warmup_steps": 5, "total_steps": 50}


@pytest.mark.parametrize("steps", [(-1, 5), (0, -5)])
def test_refuses_negative_steps(steps):
    with pytest.raises(ValueError, match="negative"):
        WarmUpCosine(0.1, *steps)
