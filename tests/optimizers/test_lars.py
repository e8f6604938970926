"""LARS against the reference's trajectories. Several replicas: test_two_replicas_optimizers.py."""

import json
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.optimizers import LARS, WarmUpCosine

CASES = json.loads((Path(__file__).parents[1] / "golden" / "numerics.json").read_text())["lars"][
    "cases"
]


def golden_variables() -> list[tf.Variable]:
    """Kernel, gamma (to be excluded) and zero of the golden file, all under one name."""
    kernel = np.cos(np.arange(12.0)).reshape(3, 4)
    values = [kernel, np.sin(np.arange(4.0)), np.zeros(3)]
    return [tf.Variable(value, dtype=tf.float32, name="same") for value in values]


def golden_gradients(variables, step: int) -> list[tf.Tensor]:
    gradients = []
    for i, variable in enumerate(variables):
        n = variable.shape.num_elements()
        gradient = np.sin(np.arange(n) * (step + 1) * 0.37 + 0.1)
        if i == 0 and step == 2:
            gradient = np.zeros(n)
        gradients.append(tf.reshape(tf.constant(gradient, tf.float32), variable.shape))
    return gradients


def step_with(optimizer, variables, step: int) -> None:
    optimizer.apply_gradients(zip(golden_gradients(variables, step), variables, strict=True))


def values_of(variables) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"lr{case['lr']}-{case['classic_momentum']}"
)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla", "update_xla"])
def test_trajectory_equals_the_reference(case, mode):
    variables = golden_variables()
    optimizer = LARS(
        case["lr"],
        weight_decay=case["weight_decay"],
        nesterov=case["nesterov"],
        classic_momentum=case["classic_momentum"],
        exclude_from_weight_decay=[variables[1]],
    )
    optimizer.build(variables)
    # What Keras does by itself where there is a GPU: each variable's update is compiled alone.
    optimizer.jit_compile = mode == "update_xla"

    def apply(gradients):
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    if mode in ("graph", "xla"):
        apply = tf.function(apply, jit_compile=mode == "xla")
    assert len(case["values_after_each_step"]) == 5
    for step, expected in enumerate(case["values_after_each_step"]):
        apply(golden_gradients(variables, step))
        for variable, name in zip(variables, ["kernel", "gamma", "zero"], strict=True):
            np.testing.assert_allclose(
                np.ravel(variable), expected[name], rtol=1e-6, atol=1e-6, err_msg=f"{name} {step}"
            )
    assert int(optimizer.iterations) == 5


def test_first_step_by_hand():
    weights, bias = tf.Variable([3.0, 4.0]), tf.Variable([3.0, 4.0])
    optimizer = LARS(
        2.0, weight_decay=0.5, trust_coefficient=0.01, exclude_from_weight_decay=[bias]
    )
    optimizer.apply_gradients([(tf.constant([4.5, 6.0]), weights), (tf.constant([1.0, 0]), bias)])
    # The decayed gradient is (6, 8): trust = 0.01 * 5 / 10, step = 2 * 0.005 * (6, 8).
    np.testing.assert_allclose(weights, [3 - 0.06, 4 - 0.08], rtol=1e-6)
    np.testing.assert_allclose(bias, [1.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize("classic_momentum", [True, False])
def test_zero_gradient_or_zero_weights_have_a_trust_ratio_of_1(classic_momentum):
    still, zero = tf.Variable([3.0, 4.0]), tf.Variable([0.0, 0.0])
    optimizer = LARS(0.5, classic_momentum=classic_momentum)
    optimizer.apply_gradients([(tf.zeros(2), still), (tf.constant([1.0, 2.0]), zero)])
    np.testing.assert_array_equal(still, [3.0, 4.0])
    np.testing.assert_allclose(zero, [-0.5, -1.0])


def test_decay_and_adaptation_are_excluded_apart():
    both, decay_only, adaptation_only = variables = [tf.Variable([3.0, 4.0]) for _ in range(3)]
    optimizer = LARS(
        1.0,
        weight_decay=0.5,
        trust_coefficient=0.1,
        exclude_from_weight_decay=[adaptation_only],
        exclude_from_layer_adaptation=[decay_only],
    )
    optimizer.apply_gradients([(tf.constant([0.0, 2.0]), variable) for variable in variables])
    direction = np.array([1.5, 4.0])
    trusted = 0.1 * 5 / np.linalg.norm(direction) * direction
    np.testing.assert_allclose(both, np.array([3, 4]) - trusted, rtol=1e-6)
    np.testing.assert_allclose(decay_only, np.array([3, 4]) - direction, rtol=1e-6)
    np.testing.assert_allclose(adaptation_only, [3.0, 4.0 - 0.1 * 5 / 2 * 2], rtol=1e-6)


def test_empty_exclusion_from_adaptation_is_not_the_default():
    variable = tf.Variable([3.0, 4.0])
    optimizer = LARS(1.0, exclude_from_weight_decay=[variable], exclude_from_layer_adaptation=[])
    optimizer.apply_gradients([(tf.constant([0.0, 2.0]), variable)])
    np.testing.assert_allclose(variable, [3.0, 4.0 - 0.005], rtol=1e-6)


def test_keras_own_weight_decay_stays_off():
    variable = tf.Variable([3.0, 4.0])
    optimizer = LARS(1.0, weight_decay=0.5, exclude_from_weight_decay=[variable])
    optimizer.apply_gradients([(tf.zeros(2), variable)])
    np.testing.assert_array_equal(variable, [3.0, 4.0])
    with pytest.raises(TypeError, match="constructed"):
        optimizer.exclude_from_weight_decay(var_list=[variable])


def test_sparse_gradient_equals_the_dense_one():
    dense, sparse = tf.Variable(tf.ones([3, 2])), tf.Variable(tf.ones([3, 2]))
    slices = tf.IndexedSlices(tf.constant([[1.0, 2], [3, 4]]), tf.constant([2, 2]), (3, 2))
    for variable, gradient in [(dense, tf.convert_to_tensor(slices)), (sparse, slices)]:
        LARS(1.0, weight_decay=0.1).apply_gradients([(gradient, variable)])
    assert np.abs(dense.numpy() - 1).max() > 1e-4
    np.testing.assert_allclose(sparse, dense, rtol=1e-6)


def test_follows_a_schedule_and_clips():
    variable = tf.Variable([3.0, 4.0])
    optimizer = LARS(
        WarmUpCosine(2.0, 2, 4), momentum=0.0, global_clipnorm=1.0, exclude_from_weight_decay=[0]
    )
    for expected in ([3.0, 4.0], [3.0, 3.0], [3.0, 1.0]):  # learning rates 0, 1, 2
        optimizer.apply_gradients([(tf.constant([0.0, 10.0]), variable)])
        np.testing.assert_allclose(variable, expected, rtol=1e-6)


def test_config_round_trip_keeps_the_exclusions():
    variables = golden_variables()
    optimizer = LARS(
        WarmUpCosine(0.3, 2, 9),
        momentum=0.8,
        weight_decay=1e-2,
        trust_coefficient=0.02,
        nesterov=True,
        classic_momentum=False,
        exclude_from_weight_decay=[variables[1]],
        exclude_from_layer_adaptation=[variables[2], variables[0]],
        clipnorm=3.0,
        name="mine",
    )
    optimizer.build(variables)
    config = optimizer.get_config()
    assert config["exclude_from_weight_decay"] == [1]
    assert config["exclude_from_layer_adaptation"] == [0, 2]
    assert config["weight_decay"] == 1e-2

    serialized = json.loads(json.dumps(tf.keras.optimizers.serialize(optimizer)))
    copy = tf.keras.optimizers.deserialize(serialized)
    assert isinstance(copy, LARS)
    assert copy.get_config() == config
    others = golden_variables()
    for step in range(4):
        step_with(optimizer, variables, step)
        step_with(copy, others, step)
    for value, other in zip(values_of(variables), values_of(others), strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("built_before", [False, True])
def test_leaves_the_choice_to_the_model_only_where_nothing_was_chosen(built_before):
    for chosen, expected in ((None, [1]), ([0], [0]), ([], [])):
        variables = [tf.Variable([3.0, 4.0], name="same") for _ in range(2)]
        optimizer = LARS(1.0, weight_decay=0.5, exclude_from_weight_decay=chosen)
        for step in (0, 1) if built_before else (1, 0):
            if step:
                optimizer.exclude_by_default([variables[1]])
            else:
                optimizer.build(variables)
        optimizer.apply_gradients([(tf.zeros(2), variable) for variable in variables])
        # No gradient but the decay, of 0.001 times the length of the weights.
        for index, variable in enumerate(variables):
            moved = [3.0, 4.0] if index in expected else [3 - 0.003, 4 - 0.004]
            np.testing.assert_allclose(variable, moved, rtol=1e-6)
        assert optimizer.get_config()["exclude_from_weight_decay"] == expected
        assert optimizer.get_config()["exclude_from_layer_adaptation"] == expected


def test_alone_it_excludes_nothing_and_says_so():
    variable = tf.Variable([3.0, 4.0])
    optimizer = LARS(1.0, weight_decay=0.5)
    optimizer.apply_gradients([(tf.zeros(2), variable)])
    np.testing.assert_allclose(variable, [3 - 0.003, 4 - 0.004], rtol=1e-6)
    config = optimizer.get_config()
    assert config["exclude_from_weight_decay"] is None
    assert LARS.from_config(config).get_config() == config


def test_config_before_build_needs_positions():
    variable = tf.Variable(1.0)
    with pytest.raises(ValueError, match="build"):
        LARS(exclude_from_weight_decay=[variable]).get_config()
    config = LARS(exclude_from_weight_decay=[4]).get_config()
    assert config["exclude_from_weight_decay"] == [4]
    assert config["exclude_from_layer_adaptation"] == [4]


@pytest.mark.parametrize("built_before_restore", [False, True])
def test_resumed_equals_uninterrupted(tmp_path, built_before_restore):
    def make():
        variables = golden_variables()
        optimizer = LARS(
            WarmUpCosine(0.5, 2, 9), weight_decay=0.1, exclude_from_weight_decay=[variables[1]]
        )
        return variables, optimizer, tf.train.Checkpoint(variables=variables, optimizer=optimizer)

    variables, optimizer, checkpoint = make()
    for step in range(3):
        step_with(optimizer, variables, step)
    path = checkpoint.write(str(tmp_path / "state"))
    step_with(optimizer, variables, 3)

    resumed, optimizer, checkpoint = make()
    if built_before_restore:
        optimizer.build(resumed)
    status = checkpoint.read(path)
    step_with(optimizer, resumed, 3)
    status.assert_consumed()
    assert int(optimizer.iterations) == 4
    for value, expected in zip(values_of(resumed), values_of(variables), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_checkpoint_does_not_draw_in_the_model(tmp_path):
    variables = golden_variables()
    optimizer = LARS(exclude_from_weight_decay=[variables[1]])
    step_with(optimizer, variables, 0)
    path = tf.train.Checkpoint(optimizer=optimizer).write(str(tmp_path / "state"))
    saved = {name for name, _ in tf.train.list_variables(path) if name.endswith("VARIABLE_VALUE")}
    assert len(saved) == 5, saved  # iteration, learning rate, three velocities


def test_trains_a_compiled_mixed_precision_model():
    layer = tf.keras.layers.Dense(2, dtype=tf.keras.mixed_precision.Policy("mixed_bfloat16"))
    model = tf.keras.Sequential([layer])
    model.build([None, 3])
    kernel = layer.kernel.numpy()
    optimizer = LARS(0.1, weight_decay=1.0, exclude_from_weight_decay=[layer.bias])
    model.compile(optimizer, loss=lambda y, prediction: 0.0 * tf.reduce_mean(prediction))
    layer.bias.assign([1.0, 2.0])
    model.fit(tf.ones([4, 3]), tf.zeros([4]), batch_size=4, verbose=0)
    # Only the decay moves anything, so the kernel shrinks by trust * lr and the bias stays.
    np.testing.assert_allclose(layer.kernel, kernel * (1 - 0.1 * 0.001), rtol=1e-6)
    np.testing.assert_array_equal(layer.bias, [1.0, 2.0])
