"""Losses that stay SimCLR, against their papers' formulas in loops."""

import math

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.losses import dcl, nt_xent, sup_con

PAIRS, DIM, TEMPERATURE = 6, 5, 0.2
FIRST, NOISE = np.random.default_rng(0).normal(size=(2, PAIRS, DIM)).astype(np.float32)
HIDDEN = np.concatenate([FIRST, FIRST + 0.7 * NOISE])  # partners are akin
LABELS = np.array([3, 0, 3, -1, 3, -1])


def similarities(hidden: np.ndarray) -> np.ndarray:
    z = hidden.astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z @ z.T / TEMPERATURE


def dcl_by_definition(hidden: np.ndarray) -> float:
    s, total = similarities(hidden), 0.0
    for i in range(2 * PAIRS):
        partner = (i + PAIRS) % (2 * PAIRS)
        negatives = [s[i, k] for k in range(2 * PAIRS) if k not in (i, partner)]
        total += -s[i, partner] + math.log(sum(map(math.exp, negatives)))
    return total / PAIRS


def sup_con_by_definition(hidden: np.ndarray, labels: np.ndarray) -> float:
    s, total = similarities(hidden), 0.0
    for i in range(2 * PAIRS):
        denominator = sum(math.exp(s[i, a]) for a in range(2 * PAIRS) if a != i)
        of_class = [
            p
            for p in range(2 * PAIRS)
            if p != i and (p % PAIRS == i % PAIRS or labels[p % PAIRS] == labels[i % PAIRS] >= 0)
        ]
        total -= sum(math.log(math.exp(s[i, p]) / denominator) for p in of_class) / len(of_class)
    return total / PAIRS


CASES = {
    "dcl": (lambda h: dcl(h, temperature=TEMPERATURE), dcl_by_definition),
    "supcon": (
        lambda h: sup_con(h, tf.constant(LABELS), temperature=TEMPERATURE),
        lambda h: sup_con_by_definition(h, LABELS),
    ),
}


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_definition(name, jit_compile):
    """The loss, and its gradient along each of the inputs by finite differences."""
    loss, by_definition = CASES[name]

    @tf.function(jit_compile=jit_compile)
    def run(hidden):
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            output = loss(hidden)
        return output, tape.gradient(output.loss, hidden)

    output, gradient = run(tf.constant(HIDDEN))
    np.testing.assert_allclose(output.loss, by_definition(HIDDEN), rtol=1e-6)
    plain = nt_xent(tf.constant(HIDDEN), temperature=TEMPERATURE)
    assert abs(float(output.loss) - float(plain.loss)) > 0.05
    np.testing.assert_allclose(output[1:], plain[1:], rtol=1e-5)
    step = 1e-4
    for place in [(0, 0), (3, 2), (7, 4), (11, 1)]:
        high, low = HIDDEN.astype(np.float64), HIDDEN.astype(np.float64)
        high[place] += step
        low[place] -= step
        slope = (by_definition(high) - by_definition(low)) / (2 * step)
        np.testing.assert_allclose(gradient[place], slope, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("labels", [-np.ones(PAIRS), np.arange(PAIRS)], ids=["none", "all others"])
def test_without_classes_sup_con_is_nt_xent(labels):
    hidden = tf.constant(HIDDEN)
    found = sup_con(hidden, tf.constant(labels, tf.int64), temperature=TEMPERATURE)
    np.testing.assert_allclose(found, nt_xent(hidden, temperature=TEMPERATURE), rtol=1e-6)


def test_a_single_pair_has_no_negatives_and_pulls_alone():
    hidden = tf.constant([[1.0, 0.0], [0.6, 0.8]])
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        loss = dcl(hidden, temperature=0.5).loss
    assert float(loss) == pytest.approx(-2 * 0.6 / 0.5)
    assert np.isfinite(tape.gradient(loss, hidden)).all()
