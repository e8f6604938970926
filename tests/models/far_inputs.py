"""Inputs far from zero and close together, and what normalization makes of them in float64."""

from __future__ import annotations

from typing import Any

import numpy as np


def far_inputs(mean: float, deviation: float, rows: int = 96) -> np.ndarray:
    """Returns float32 [rows, 2, 2, 4]."""
    return np.random.default_rng(4).normal(mean, deviation, (rows, 2, 2, 4)).astype(np.float32)


def weights_of(inputs: np.ndarray) -> np.ndarray:
    """The gradient of the outputs."""
    return np.random.default_rng(3).normal(size=inputs.shape).astype(np.float32)


def normalized(inputs: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """What a new layer without ReLU gives in training, and its gradients, by their formulas."""
    x, w = (values.astype(np.float64).reshape(-1, inputs.shape[-1]) for values in (inputs, weights))
    mean, variance = x.mean(0), x.var(0)
    deviation = np.sqrt(variance + 1e-5)
    outputs = (x - mean) / deviation
    to_inputs = (w - w.mean(0) - outputs * (w * outputs).mean(0)) / deviation
    return {
        "outputs": outputs.reshape(inputs.shape),
        "to_inputs": to_inputs.reshape(inputs.shape),
        "to_gamma": (w * outputs).sum(0),
        "to_beta": w.sum(0),
        "moving_mean": 0.1 * mean,
        "moving_variance": 0.9 + 0.1 * variance,
    }


def check(result: dict[str, Any], inputs: np.ndarray, weights: np.ndarray, ulps: float = 1) -> None:
    """Compares with `normalized`, if the mean was rounded by so many units in its last place."""
    expected = normalized(inputs, weights)
    assert result.keys() == expected.keys()
    last_place = np.spacing(np.abs(inputs).max())
    # Outputs move by what the mean is off, in deviations; gradients by that times the correlation
    # of weights and outputs, and times the mean weight, both of which are small.
    variance = inputs.reshape(-1, inputs.shape[-1]).var(0, dtype=np.float64)
    slack = ulps * last_place / np.sqrt(variance + 1e-5)
    tolerances = {
        "outputs": slack.max() + 1e-5,
        "to_inputs": (slack.max() / 20 + 1e-5) * np.abs(expected["to_inputs"]).max(),
        "to_gamma": slack.max() * np.abs(expected["to_beta"]).max() + 1e-4,
        "to_beta": 1e-4,
        "moving_mean": max(ulps, 1) * last_place,
        "moving_variance": 1e-6 * max(1, expected["moving_variance"].max()),
    }
    for name, tolerance in tolerances.items():
        wanted = np.broadcast_to(expected[name], np.shape(result[name]))
        np.testing.assert_allclose(result[name], wanted, rtol=0, atol=tolerance, err_msg=name)
