from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

from simclr_tf.models import SupervisedHead

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "architectures.json").read_text())
MODELS = [model for model in GOLDEN["models"] if "features_dim" in model]
FEATURES = tf.constant(np.random.default_rng(0).normal(size=(8, 20)), tf.float32)


@pytest.mark.parametrize(
    "dim_and_count",
    sorted({(m["features_dim"], m["supervised_head_trainable"]) for m in MODELS}),
)
def test_parameter_count_is_the_references(dim_and_count):
    dim, expected = dim_and_count
    head = SupervisedHead(1000)
    head(tf.zeros([1, dim]))
    assert sum(math.prod(v.shape) for v in head.trainable_variables) == expected


def test_logits_are_linear_and_small_at_first():
    head = SupervisedHead(200)
    logits = head(FEATURES)
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(logits, FEATURES @ kernel + bias, atol=1e-5)
    assert 0.009 < kernel.std() < 0.011
    assert not bias.any()


def test_zero_init_starts_with_zero_logits():
    assert not SupervisedHead(5, zero_init=True)(FEATURES).numpy().any()


def test_logits_are_float32_under_mixed_precision():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        head = SupervisedHead(5)
        logits = head(tf.cast(FEATURES, tf.bfloat16))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert logits.dtype == tf.float32
    rounded = tf.cast(tf.cast(FEATURES, tf.bfloat16), tf.float32).numpy()
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(logits, rounded @ kernel + bias, atol=1e-6)


def test_config_makes_the_same_head():
    head = SupervisedHead(5, zero_init=True, name="probe")
    assert SupervisedHead.from_config(head.get_config()).get_config() == head.get_config()


def test_no_classes_are_refused():
    with pytest.raises(ValueError, match="num_classes"):
        SupervisedHead(0)
