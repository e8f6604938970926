from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

from simclr_tf.models import ProjectionHead
from tests.conftest import call_in_graph

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "architectures.json").read_text())
MODELS = [model for model in GOLDEN["models"] if "features_dim" in model]
FEATURES = tf.constant(np.random.default_rng(0).normal(size=(8, 20)), tf.float32)


@pytest.mark.parametrize(
    "dim_and_count",
    sorted({(m["features_dim"], m["projection_head_trainable"]) for m in MODELS}),
)
def test_parameter_count_is_the_references(dim_and_count):
    dim, expected = dim_and_count

    def build():
        head = ProjectionHead("nonlinear", num_layers=3, out_dim=128)
        head(tf.zeros([2, dim]), training=False)
        return head.trainable_variables

    assert sum(math.prod(v.shape) for v in call_in_graph(build)) == expected


@pytest.mark.parametrize(
    ("mode", "num_layers", "widths"),
    [
        ("none", 3, [20]),
        ("linear", 3, [20, 6]),
        ("nonlinear", 1, [20, 6]),
        ("nonlinear", 2, [20, 20, 6]),
        ("nonlinear", 3, [20, 20, 20, 6]),
    ],
)
def test_every_mode_returns_all_hidden_layers(mode, num_layers, widths):
    head = ProjectionHead(mode, num_layers=num_layers, out_dim=6)
    for training in (False, True):
        hiddens = head(FEATURES, training=training)
        assert [hidden.shape[-1] for hidden in hiddens] == widths
        np.testing.assert_array_equal(hiddens[0], FEATURES)
        for hidden in hiddens[1:-1]:
            assert tf.reduce_min(hidden) == 0
    if mode != "none":
        assert tf.reduce_min(hiddens[-1]) < 0


def test_layers_equal_their_definition():
    head = ProjectionHead("nonlinear", num_layers=2, out_dim=6)
    hiddens = head(FEATURES, training=True)
    gamma, beta, first, last_gamma, second = (v.numpy() for v in head.trainable_variables)
    assert 0.005 < first.std() < 0.015

    def normalize(x):
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    hidden = np.maximum(normalize(FEATURES.numpy() @ first) * gamma + beta, 0)
    np.testing.assert_allclose(hiddens[1], hidden, atol=1e-4)
    np.testing.assert_allclose(hiddens[2], normalize(hidden @ second) * last_gamma, atol=1e-4)


def test_frozen_before_it_is_built_it_stays():
    head = ProjectionHead("nonlinear", num_layers=2, out_dim=6)
    head.trainable = False
    head(FEATURES)
    before = head.get_weights()
    head(FEATURES, training=True)
    assert not head.trainable_variables
    for old, new in zip(before, head.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_checkpoints_and_config_restore(tmp_path):
    head = ProjectionHead("nonlinear", num_layers=2, out_dim=6)
    head(FEATURES, training=True)
    path = tf.train.Checkpoint(head=head).write(str(tmp_path / "ckpt"))
    other = ProjectionHead.from_config(head.get_config())
    status = tf.train.Checkpoint(head=other).read(path)
    np.testing.assert_array_equal(other(FEATURES)[-1], head(FEATURES)[-1])
    status.assert_consumed()


def test_mixed_bfloat16_is_close_to_float32():
    head = ProjectionHead("nonlinear", num_layers=2, out_dim=6)
    expected = head(FEATURES, training=True)[-1]
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = ProjectionHead("nonlinear", num_layers=2, out_dim=6)
        mixed(FEATURES)
        mixed.set_weights(head.get_weights())
        output = mixed(FEATURES, training=True)[-1]
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert output.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(output, tf.float32), expected, atol=0.1)


@pytest.mark.parametrize(
    ("mode", "arguments", "message"),
    [
        ("cubic", {}, "mode='cubic' must be one of none, linear, nonlinear"),
        ("nonlinear", {"num_layers": 0}, "num_layers=0 must be a whole number, 1 to 64"),
        ("nonlinear", {"num_layers": 2.5}, "num_layers=2.5 must be a whole number, 1 to 64"),
        ("linear", {"out_dim": 0}, "out_dim=0 must be a whole number, 1 to 65,536"),
    ],
)
def test_bad_arguments_are_refused(mode, arguments, message):
    with pytest.raises(ValueError, match=message):
        ProjectionHead(mode, **arguments)
