"""NT-Xent against the reference's figures and the paper's pseudo-code."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.losses import NTXent, nt_xent

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "numerics.json").read_text())
CASES = GOLDEN["ntxent"]["cases"]


def golden_hidden(pairs: int, dim: int, k: int) -> np.ndarray:
    """The input_formula of the golden file."""
    i = np.arange(2 * pairs * dim, dtype=np.float64).reshape(2 * pairs, dim)
    return (np.sin(0.7 * i + 0.3 * k) + 0.5 * np.cos(1.3 * i * i / (dim + 1) + k)).astype(
        np.float32
    )


def algorithm_1(hidden: np.ndarray, temperature: float, normalize: bool = True) -> float:
    """The paper's Algorithm 1 in loops: the mean of l(i, j) over all 2N views.

    The paper interleaves the views (2k-1 and 2k); here view 2 of pair k is row N + k.
    """
    z = hidden.astype(np.float64)
    n = len(z) // 2

    def similarity(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(z[i], z[j], strict=True))
        return dot / math.sqrt(sum(z[i] ** 2)) / math.sqrt(sum(z[j] ** 2)) if normalize else dot

    def loss(i: int, j: int) -> float:
        denominator = 0.0
        for k in range(2 * n):
            if k != i:
                denominator += math.exp(similarity(i, k) / temperature)
        return -math.log(math.exp(similarity(i, j) / temperature) / denominator)

    return sum(loss(k, n + k) + loss(n + k, k) for k in range(n)) / (2 * n)


def loss_and_gradient(hidden, **kwargs):
    hidden = tf.convert_to_tensor(hidden)
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        output = nt_xent(hidden, **kwargs)
    return output, tape.gradient(output.loss, hidden)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"pairs{case['pairs']}")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_equals_the_reference(case, jit_compile):
    hidden = golden_hidden(case["pairs"], case["dim"], case["k"])
    run = tf.function(loss_and_gradient, jit_compile=jit_compile)
    output, gradient = run(
        tf.constant(hidden), temperature=case["temperature"], hidden_norm=case["hidden_norm"]
    )
    gradient = gradient.numpy()
    np.testing.assert_allclose(output.loss, case["loss_sum_of_directions"], rtol=2e-6)
    np.testing.assert_allclose(output.accuracy, case["contrast_accuracy_ab_only"], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(gradient), case["grad_l2"], rtol=1e-5)
    np.testing.assert_allclose(gradient[0, :4], case["grad_row0"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradient[-1, -4:], case["grad_last"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("pairs", "dim", "temperature", "normalize"),
    [(1, 3, 0.5, True), (2, 4, 1.0, True), (7, 5, 0.1, True), (4, 6, 2.0, False)],
)
def test_is_twice_the_mean_of_algorithm_1(pairs, dim, temperature, normalize):
    hidden = np.random.default_rng(pairs).normal(size=(2 * pairs, dim)).astype(np.float32)
    loss = nt_xent(hidden, temperature=temperature, hidden_norm=normalize).loss
    expected = 2 * algorithm_1(hidden, temperature, normalize)
    np.testing.assert_allclose(loss, expected, rtol=3e-6, atol=1e-6)


def test_gradient_equals_finite_differences_of_algorithm_1():
    hidden = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    _, gradient = loss_and_gradient(hidden, temperature=0.3)
    slopes = np.empty_like(hidden)
    for index in np.ndindex(*hidden.shape):
        step = np.zeros(hidden.shape)
        step[index] = 1e-5
        up, down = (2 * algorithm_1(hidden + sign * step, 0.3) for sign in (1, -1))
        slopes[index] = (up - down) / 2e-5
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-5)


def test_accuracy_and_entropy_are_of_view_1_against_all_views_2():
    hidden = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)
    unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    logits = unit[:8] @ unit[8:].T / 0.2
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    output = nt_xent(hidden, temperature=0.2)
    accuracy = np.mean(logits.argmax(1) == np.arange(8))
    assert 0 < accuracy < 1, "the example must be able to tell right from wrong"
    np.testing.assert_allclose(output.accuracy, accuracy)
    entropy = -(probability * np.log(probability + 1e-8)).sum(1).mean()
    np.testing.assert_allclose(output.entropy, entropy, rtol=1e-5)


def test_identical_projections_leave_chance():
    output = nt_xent(np.ones((10, 4), np.float32), temperature=0.5)
    np.testing.assert_allclose(output.loss, 2 * math.log(9), rtol=1e-6)  # nine other views
    np.testing.assert_allclose(output.entropy, math.log(5), rtol=1e-5)  # five views 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_computes_in_float32_whatever_the_input(dtype):
    hidden = tf.cast(golden_hidden(8, 16, 2), dtype)
    output, gradient = loss_and_gradient(hidden, temperature=0.1)
    same_values, _ = loss_and_gradient(tf.cast(hidden, tf.float32), temperature=0.1)
    for value, expected in zip(output, same_values, strict=True):
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert gradient.dtype == dtype
    assert np.all(np.isfinite(tf.cast(gradient, tf.float32)))
    assert np.linalg.norm(tf.cast(gradient, tf.float32)) > 0.1


def test_single_pair_without_negatives_but_itself_is_finite():
    output, gradient = loss_and_gradient(golden_hidden(1, 4, 0), temperature=0.1)
    np.testing.assert_allclose(output.loss, 0, atol=1e-5)
    np.testing.assert_allclose(gradient, np.zeros((2, 4)), atol=1e-5)


def test_large_logits_do_not_overflow():
    hidden = 1e3 * golden_hidden(4, 8, 1)
    output, gradient = loss_and_gradient(hidden, temperature=0.01, hidden_norm=False)
    assert 1 < output.loss < np.inf
    assert np.all(np.isfinite(gradient))


def test_batch_size_may_be_unknown_while_tracing():
    hidden = golden_hidden(4, 8, 1)
    run = tf.function(
        lambda hidden: nt_xent(hidden, temperature=0.5),
        input_signature=[tf.TensorSpec([None, 8], tf.float32)],
    )
    np.testing.assert_allclose(run(hidden).loss, CASES[1]["loss_sum_of_directions"], rtol=2e-6)


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, math.nan])
def test_refuses_a_temperature_that_is_not_positive(temperature):
    with pytest.raises(ValueError, match="temperature"):
        nt_xent(np.ones((4, 2), np.float32), temperature=temperature)


@pytest.mark.parametrize("shape", [(3, 2), (4,), (2, 2, 2)])
def test_refuses_what_is_not_two_views(shape):
    with pytest.raises(ValueError, match="2 \\* pairs"):
        nt_xent(np.ones(shape, np.float32), temperature=1.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"pairs{case['pairs']}")
def test_keras_loss_equals_the_function(case):
    first, second = np.split(golden_hidden(case["pairs"], case["dim"], case["k"]), 2)
    arguments = {"temperature": case["temperature"], "hidden_norm": case["hidden_norm"]}
    loss = NTXent(**arguments)
    expected, gradient = loss_and_gradient(np.concatenate([first, second]), **arguments)
    views = tf.constant(first), tf.constant(second)
    with tf.GradientTape() as tape:
        tape.watch(views)
        value = loss(*views)
    np.testing.assert_allclose(value, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(tf.concat(tape.gradient(value, views), 0), gradient, atol=1e-6)
    np.testing.assert_allclose(loss(*reversed(views)), value, rtol=1e-6)
    pairs = NTXent(**arguments, reduction="none")(*views)
    assert pairs.shape == [case["pairs"]]
    np.testing.assert_allclose(np.mean(pairs), value, rtol=1e-6)


def test_keras_loss_trains_a_compiled_model():
    """As any loss of Keras: the targets are the projections of the other view."""
    views = np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)
    model = tf.keras.Sequential([tf.keras.layers.Dense(4, use_bias=False)])
    model.compile(tf.keras.optimizers.SGD(0.0), NTXent(temperature=0.5))
    history = model.fit(views, views[:, :4], batch_size=16, verbose=0).history
    expected = nt_xent(tf.concat([views[:, :4], model(views)], 0), temperature=0.5).loss
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-6)


def test_keras_loss_comes_back_from_its_config():
    loss = NTXent(temperature=0.3, hidden_norm=False, reduction="sum", name="mine")
    copy = tf.keras.losses.deserialize(json.loads(json.dumps(tf.keras.losses.serialize(loss))))
    assert type(copy) is NTXent
    assert copy.get_config() == loss.get_config()
    assert copy.get_config()["temperature"] == 0.3


def test_keras_loss_refuses_what_is_not_two_views_and_a_bad_temperature():
    with pytest.raises(ValueError, match="two views"):
        NTXent()(np.zeros(4), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"temperature=0 must be above 0"):
        NTXent(temperature=0)
