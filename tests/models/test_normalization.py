from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)
from tests.reports import report_of

import tensorflow as tf  # isort: skip

from simclr_tf.models import BatchNormRelu
from tests.models.far_inputs import check, far_inputs, normalized, weights_of

INPUTS = np.random.default_rng(0).normal(3.0, 2.0, size=(2, 3, 3, 4)).astype(np.float32)


def weigh(outputs: tf.Tensor) -> tf.Tensor:
    """A scalar whose gradient differs from output to output."""
    outputs = tf.reshape(tf.cast(outputs, tf.float32), [-1])
    return tf.reduce_sum(outputs * tf.sin(tf.range(outputs.shape[0], dtype=tf.float32)))


def train(layer: BatchNormRelu, inputs: np.ndarray, jit: bool = False) -> tuple[tf.Tensor, list]:
    """Returns output and gradients (inputs, gamma, beta) of one call with training=True."""
    images = tf.constant(inputs)
    layer(images)
    layer.gamma.assign([0.5, -1.0, 2.0, 0.1])

    @tf.function(jit_compile=jit)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            loss = weigh(outputs)
        return outputs, tape.gradient(loss, [images, layer.gamma, layer.beta])

    return step()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("global_bn", [False, True])
@pytest.mark.parametrize("shape", [(18, 4), (2, 3, 3, 4)])
def test_training_equals_the_definition(shape, global_bn, jit, relu):
    layer = BatchNormRelu(global_bn=global_bn, momentum=0.75, relu=relu)
    inputs = INPUTS.reshape(shape)
    outputs, gradients = train(layer, inputs, jit)

    sources = [tf.constant(inputs), tf.constant(layer.gamma), tf.constant(layer.beta)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        mean, variance = tf.nn.moments(sources[0], list(range(len(shape) - 1)))
        expected = (sources[0] - mean) / tf.sqrt(variance + 1e-5) * sources[1] + sources[2]
        expected = tf.nn.relu(expected) if relu else expected
        loss = weigh(expected)
    np.testing.assert_allclose(outputs, expected, atol=2e-5)
    for gradient, reference in zip(gradients, tape.gradient(loss, sources), strict=True):
        np.testing.assert_allclose(gradient, reference, atol=1e-4)
    # The biased variance: what replicas agree upon does not depend on how many there are.
    np.testing.assert_allclose(layer.moving_mean, 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "ulps"),
    # XLA has no fused kernel. TensorFlow's rounds its mean; the other ways know what is left of it.
    [("fused", 8), ("2-D", 0.01), ("compiled", 0.01), ("compiled 2-D", 0.01), ("tensor", 0.01)],
)
@pytest.mark.parametrize("global_bn", [False, True])
@pytest.mark.parametrize("mean", [20.0, 1000.0])
def test_small_differences_of_large_numbers(mean, global_bn, kernel, ulps):
    inputs = far_inputs(mean, 1e-3, rows=1024)
    inputs = inputs.reshape(-1, 4) if "2-D" in kernel else inputs
    layer = BatchNormRelu(global_bn=global_bn, relu=False)
    layer(inputs)
    images, weights = tf.constant(inputs), weights_of(inputs)

    @tf.function(jit_compile="compiled" in kernel)
    def step(training):
        training = training if kernel == "tensor" else True
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=training)
            loss = tf.reduce_sum(outputs * weights)
        return outputs, *tape.gradient(loss, [images, layer.gamma, layer.beta])

    names = ("outputs", "to_inputs", "to_gamma", "to_beta")
    result = dict(zip(names, step(tf.constant(True)), strict=True))
    moving = {"moving_mean": layer.moving_mean, "moving_variance": layer.moving_variance}
    check({**result, **moving}, inputs, weights, ulps)


def test_equal_numbers_have_no_variance():
    layer = BatchNormRelu(momentum=0.0)
    outputs = layer(np.full([1000, 4], 0.1, np.float32), training=True)
    assert not outputs.numpy().any() and not layer.moving_variance.numpy().any()


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 3, 4)])
def test_inference_uses_moving_statistics(shape):
    layer = BatchNormRelu(relu=False)
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    layer(inputs)
    layer.set_weights([np.full(4, v, np.float32) for v in (2.0, 1.0, 0.5, 4.0)])
    expected = (inputs - 0.5) / np.sqrt(4.0 + 1e-5) * 2.0 + 1.0
    for training in (False, None, tf.constant(False)):
        np.testing.assert_allclose(layer(inputs, training=training), expected, rtol=1e-5, atol=1e-6)
    layer.trainable = False
    np.testing.assert_allclose(layer(inputs, training=True), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.moving_variance, np.full(4, 4.0))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_inference_by_the_kernel_and_through_it(dtype, center, jit):
    """Values and gradients, as of a frozen layer; one operation where there is a kernel."""
    layer = BatchNormRelu(center=center, relu=False, dtype=tf.keras.mixed_precision.Policy(dtype))
    layer.build([None, 3, 3, 4])
    rng = np.random.default_rng(1)
    for variable, low in ((layer.gamma, -1), (layer.moving_mean, -1), (layer.moving_variance, 0.5)):
        variable.assign(rng.uniform(low, 2, 4))
    given = tf.cast(INPUTS, layer.compute_dtype)

    @tf.function(jit_compile=jit, autograph=False)
    def infer(images: tf.Tensor):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=False)
            loss = weigh(outputs)
        return outputs, tape.gradient(loss, images)

    outputs, gradient = infer(given)
    scale = layer.gamma / np.sqrt(layer.moving_variance + 1e-5)
    values = np.asarray(tf.cast(given, tf.float64))
    expected = (values - np.asarray(layer.moving_mean, np.float64)) * scale
    slopes = np.sin(np.arange(values.size)).reshape(values.shape) * scale
    close = {"rtol": 2**-7, "atol": 2**-7} if "bfloat16" in dtype else {"rtol": 1e-6, "atol": 2e-6}
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), expected, **close)
    np.testing.assert_allclose(tf.cast(gradient, tf.float64), slopes, **close)
    kinds = {op.type for op in infer.get_concrete_function(given).graph.get_operations()}
    assert ("FusedBatchNormV3" in kinds) == (dtype != "float64" and not jit)


def test_training_may_be_a_tensor():
    by_tensor, by_value = BatchNormRelu(), BatchNormRelu()
    np.testing.assert_allclose(
        by_tensor(INPUTS, training=tf.constant(True)), by_value(INPUTS, training=True), atol=1e-5
    )
    np.testing.assert_allclose(by_tensor.moving_variance, by_value.moving_variance, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 4), (2, 3, 3, 4)])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_statistics(policy, shape):
    layer = BatchNormRelu(momentum=0.0, relu=False, dtype=policy)
    inputs = np.random.default_rng(0).normal(3.0, 2.0, size=shape).astype(np.float32)
    output, gradients = train(layer, inputs)
    low = tf.cast(tf.cast(inputs, output.dtype), tf.float32).numpy().reshape(-1, 4)
    assert output.dtype == policy.removeprefix("mixed_")
    assert all(variable.dtype == tf.float32 for variable in layer.variables)
    assert all(bool(tf.reduce_all(tf.math.is_finite(gradient))) for gradient in gradients)
    np.testing.assert_allclose(layer.moving_mean, low.mean(0), rtol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, low.var(0), rtol=1e-3)


def test_one_pixel_of_one_image_gives_finite_statistics():
    layer = BatchNormRelu(momentum=0.5)
    layer(np.ones([1, 1, 1, 4], np.float32), training=True)
    np.testing.assert_allclose(layer.moving_variance, np.full(4, 0.5))


def test_options_create_what_they_say():
    layer = BatchNormRelu(init_zero=True, center=False)
    layer(INPUTS, training=True)
    assert layer.beta is None
    assert not layer.gamma.numpy().any()
    assert [variable is layer.gamma for variable in layer.trainable_variables] == [True]


def test_config_round_trip():
    layer = BatchNormRelu(global_bn=False, momentum=0.8, relu=False, init_zero=True, name="n")
    again = BatchNormRelu.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert not again.synchronized


@pytest.fixture(scope="module")
def report():
    return report_of(__file__, "two_replicas.py", timeout=180)


@pytest.mark.parametrize("what", ["weights", "statistics"])
def test_two_replicas_equal_one_device(report, what):
    for one, two in zip(report["one"][what], report["two"][what], strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


def test_without_global_bn_replicas_differ(report):
    pairs = zip(report["one"]["weights"], report["two_unsynchronized"]["weights"], strict=True)
    assert max(np.abs(np.subtract(one, two)).max() for one, two in pairs) > 1e-3


def together(replicas: list[dict]) -> dict[str, np.ndarray]:
    """One result of the replicas' own: rows one after another, and the sums of gradients."""
    lists = {name: [replica[name] for replica in replicas] for name in replicas[0]}
    for name in ("outputs", "to_inputs"):
        lists[name] = sum(lists[name], [])
    for name in ("to_gamma", "to_beta"):
        lists[name] = np.sum(lists[name], axis=0)
    return {name: np.array(values) for name, values in lists.items()}


@pytest.mark.parametrize("split", ["even", "uneven", "second empty", "first empty"])
@pytest.mark.parametrize("mean", [20.0, 1000.0])
def test_small_differences_of_large_numbers_over_replicas(report, mean, split):
    """Moving statistics are those of all on each replica, also on one that has no inputs."""
    layer = report["layers"][f"{mean} {split}"]
    # One sum forward, of every replica's own moments, and one backward.
    assert layer["collectives"] == 2
    inputs, result = far_inputs(mean, 1e-3), together(layer["replicas"])
    check(result, inputs, weights_of(inputs))
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_array_equal(*result[name], err_msg=name)


def test_replicas_in_bfloat16(report):
    layer = report["layers"]["bfloat16 uneven"]
    assert layer["collectives"] == 2
    inputs, result = np.round(far_inputs(20.0, 0.25) * 8) / 8, together(layer["replicas"])
    expected = normalized(inputs, weights_of(inputs))
    np.testing.assert_allclose(result["outputs"], expected["outputs"], rtol=2**-8, atol=1e-5)
    weights = low(weights_of(inputs))  # what comes back through outputs in bfloat16
    expected = normalized(inputs, weights)
    np.testing.assert_allclose(result["to_inputs"], expected["to_inputs"], rtol=2**-7, atol=1e-5)
    for name in ("to_gamma", "to_beta"):
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-4, atol=1e-4)
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(result[name][0], expected[name], rtol=1e-6)
        np.testing.assert_array_equal(*result[name], err_msg=name)


@pytest.mark.parametrize("mean", [20.0, 1000.0])
def test_replicas_apart_have_their_own_small_differences(report, mean):
    layer = report["layers"][f"{mean} apart"]
    assert layer["collectives"] == 0
    inputs = far_inputs(mean, 1e-3)
    rows = zip(np.split(inputs, [60]), np.split(weights_of(inputs), [60]), strict=True)
    for result, (own, weights) in zip(layer["replicas"], rows, strict=True):
        check(result, own, weights, ulps=0.01 if mean == 20 else 0.1)


def test_frozen_layers_send_nothing(report):
    layer = report["layers"]["frozen"]
    assert layer["collectives"] == 0
    result, inputs = together(layer["replicas"]), np.round(far_inputs(20.0, 0.25) * 8) / 8
    np.testing.assert_allclose(result["outputs"], inputs / np.sqrt(1 + 1e-5), rtol=1e-6)
    assert not result["moving_mean"].any() and (result["moving_variance"] == 1).all()


def low(values: np.ndarray) -> np.ndarray:
    return tf.cast(tf.cast(values, tf.bfloat16), tf.float32).numpy()
