"""A step that gives no number is left out, whole: as if its batch had not been there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import Architecture, SimCLR, SupervisedHead
from simclr_tf.optimizers import build_optimizer

ARCHITECTURE = Architecture(
    resnet_depth=18, width_multiplier=0.0625, num_proj_layers=2, proj_out_dim=8, cifar_stem=True
)
RNG = np.random.default_rng(0)
GOOD = [
    {"views": RNG.random((4, 2, 8, 8, 3), np.float32), "label": np.array([0, 1, 2, 0])}
    for _ in range(3)
]
BAD = {**GOOD[0], "views": GOOD[0]["views"].copy()}
BAD["views"][1, 0, 2, 3, 1] = np.inf


def make(optimizer: str = "lars", rate: float = 0.1, **compiled: Any) -> SimCLR:
    tf.keras.utils.set_random_seed(0)
    model = SimCLR(ARCHITECTURE, supervised_head=SupervisedHead(3), temperature=0.5)
    settings = {"learning_rate": rate, "momentum": 0.9, "weight_decay": 1e-4}
    model.compile(build_optimizer(optimizer, **settings, exclude=model.undecayed), **compiled)
    return model


def train(model: SimCLR, batches: list[dict[str, Any]]) -> dict[str, float]:
    """Takes a step for each batch, and returns what the last one returned."""
    step = tf.function(model.train_step)
    for batch in batches:
        results = step({name: tf.constant(part) for name, part in batch.items()})
    return {name: float(value) for name, value in results.items()}


def state(model: SimCLR) -> list[np.ndarray]:
    """Weights, statistics and slots; not the number of steps."""
    own = model.optimizer.variables
    slots = [v for v in (own() if callable(own) else own) if v.dtype.is_floating]
    return [np.asarray(v) for v in (*model.variables, *slots)]


@pytest.mark.parametrize("optimizer", ["lars", "momentum"])
def test_as_if_its_batch_had_not_been_there(optimizer: str) -> None:
    whole, skipping = make(optimizer), make(optimizer, skip_nonfinite=True)
    means = train(whole, GOOD)
    results = train(skipping, [GOOD[0], BAD, BAD, GOOD[1], BAD, GOOD[2]])
    assert (results.pop("left_out"), results.pop("left_out_in_a_row")) == (3, 0)
    assert results == pytest.approx(means, rel=1e-6)
    for first, second in zip(state(whole), state(skipping), strict=True):
        np.testing.assert_array_equal(first, second)
    # The schedule goes by the place in the data.
    assert (int(whole.optimizer.iterations), int(skipping.optimizer.iterations)) == (3, 6)


@pytest.mark.parametrize("optimizer", ["lars", "adam", "adamw"])
def test_nothing_of_the_network_changes(optimizer: str) -> None:
    model = make(optimizer, 0.001, skip_nonfinite=True)
    train(model, GOOD[:1])
    before = state(model)
    results = train(model, [BAD, BAD])
    assert (results["left_out"], results["left_out_in_a_row"]) == (2, 2)
    for first, second in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_finite_loss_that_leads_nowhere_is_left_out_too() -> None:
    """The gradient of the first step is sound, and the weights overflow by it."""
    model = make("momentum", 3e38, skip_nonfinite=True)
    before = state(model)
    assert train(model, GOOD[:1])["left_out"] == 1
    for first, second in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(first, second)


def test_without_it_nothing_is_left_out() -> None:
    model = make()
    results = train(model, [BAD])
    assert np.isnan(results["total_loss"])
    assert "left_out" not in results


def test_float16_trains_with_a_scaled_loss() -> None:
    """Gradients are scaled and scaled back; a scale that overflows is no step left out."""
    full, start = make("momentum", 0.01), state(make("momentum", 0.01))
    expected = train(full, GOOD[:1])
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = make("momentum", 0.01, skip_nonfinite=True)
        results = train(half, GOOD[:1])  # overflows at the first scale, 2 ** 15
        assert float(half.optimizer.loss_scale) == 2**14
        for before, after in zip(trained(start, half), trained(state(half), half), strict=True):
            np.testing.assert_array_equal(before, after)
        half.compile(
            tf.keras.mixed_precision.LossScaleOptimizer(
                tf.keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), False, 64.0
            )
        )
        train(half, GOOD[:1])
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert results["left_out"] == 0
    assert results["total_loss"] == pytest.approx(expected["total_loss"], rel=0.01)
    # Rounding to 11 bits, which batch norm over 8 images magnifies: all moves together.
    first, second = (
        np.concatenate([np.ravel(v) for v in trained(state(model), half)]) for model in (full, half)
    )
    before = np.concatenate([np.ravel(v) for v in trained(start, half)])
    assert np.linalg.norm(first - before) > 0.1
    assert np.linalg.norm(second - first) < 0.2 * np.linalg.norm(first - before)


def trained(values: list[np.ndarray], model: SimCLR) -> list[np.ndarray]:
    """Returns the values of the trainable variables, of those of `model.variables`."""
    ids = {id(v) for v in model.trainable_variables}
    return [value for value, v in zip(values, model.variables) if id(v) in ids]
