"""Every optimizer by name, on the stack that has it."""

import json

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf import compat
from simclr_tf.bounds import OPTIMIZERS
from simclr_tf.errors import SettingError
from simclr_tf.optimizers import LARS, WarmUpCosine, build_optimizer

HAS_ADDONS = compat.addons() is not None
AVAILABLE = [name for name in OPTIMIZERS.values if HAS_ADDONS or name != "lamb"]
needs_addons = pytest.mark.skipif(not HAS_ADDONS, reason="tensorflow-addons does not exist here")


def namesakes() -> list[tf.Variable]:
    return [tf.Variable([3.0, -4.0], name="same") for _ in range(2)]


def build(name, variables=(), learning_rate=0.1, weight_decay=0.5):
    return build_optimizer(
        name,
        learning_rate=learning_rate,
        momentum=0.9,
        weight_decay=weight_decay,
        exclude=variables,
    )


def train(optimizer, variables, steps) -> list[np.ndarray]:
    """Applies the gradients of the given steps inside a tf.function."""

    @tf.function
    def run(step):
        phase = tf.cast(step, tf.float32)
        gradients = [tf.stack([tf.sin(phase + i), tf.cos(phase)]) for i, _ in enumerate(variables)]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    # Variables of the new API must not first appear while tracing.
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    for step in steps:
        run(tf.constant(step))
    return [variable.numpy() for variable in variables]


def test_momentum_is_nesterov_without_decay():
    variable = tf.Variable([1.0])
    optimizer = build("momentum")
    expected, velocity = 1.0, 0.0
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant([2.0]), variable)])
        velocity = 0.9 * velocity - 0.1 * 2
        expected += 0.9 * velocity - 0.1 * 2
    np.testing.assert_allclose(variable, [expected], rtol=1e-6)


def test_adam_is_adam_without_decay():
    variable = tf.Variable([1.0, 1.0])
    build("adam").apply_gradients([(tf.constant([2.0, -3.0]), variable)])
    np.testing.assert_allclose(variable, [0.9, 1.1], rtol=1e-6)  # first steps are lr * sign(g)


def test_lars_gets_every_argument():
    variables = namesakes()
    optimizer = build("lars", [variables[1]])
    optimizer.build(variables)
    assert isinstance(optimizer, LARS)
    config = optimizer.get_config()
    assert (config["momentum"], config["weight_decay"]) == (0.9, 0.5)
    np.testing.assert_allclose(config["learning_rate"], 0.1, rtol=1e-6)
    assert config["exclude_from_weight_decay"] == [1]
    assert config["exclude_from_layer_adaptation"] == [1]


def test_adamw_decays_by_learning_rate_times_weight_decay():
    decayed, excluded = variables = namesakes()
    optimizer = build("adamw", [excluded])
    optimizer.apply_gradients([(tf.zeros(2), variable) for variable in variables])
    np.testing.assert_allclose(decayed, [3 * 0.95, -4 * 0.95], rtol=1e-6)
    np.testing.assert_array_equal(excluded, [3.0, -4.0])


def test_adamw_equals_that_of_keras_on_both_stacks():
    variables, expected = namesakes(), namesakes()
    schedule = WarmUpCosine(0.2, 2, 6)
    train(build("adamw", [variables[1]], schedule), variables, range(5))
    keras = tf.keras.optimizers.AdamW(schedule, weight_decay=0.5)
    keras.exclude_from_weight_decay(var_list=[expected[1]])
    train(keras, expected, range(5))
    assert np.abs(variables[0].numpy() - [3, -4]).max() > 0.1
    for value, other in zip(variables, expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-5)


@needs_addons
def test_lamb_by_hand_excludes_the_object_and_not_its_namesake():
    adapted, excluded = variables = namesakes()
    optimizer = build("lamb", [excluded])
    gradient = tf.constant([0.0, 2.0])
    optimizer.apply_gradients([(gradient, variable) for variable in variables])
    # The first Adam direction is (0, 1); decay adds 0.5 * (3, -4); ||w|| = 5.
    direction = np.array([1.5, 1.0 - 2.0])
    step = 0.1 * 5 / np.linalg.norm(direction) * direction
    np.testing.assert_allclose(adapted, np.array([3, -4]) - step, rtol=1e-5)
    np.testing.assert_allclose(excluded, [3.0, -4.1], rtol=1e-5)


@needs_addons
@pytest.mark.parametrize("name", ["lamb", "adamw"])
@pytest.mark.parametrize("learning_rate", [0.1, WarmUpCosine(0.2, 2, 9)], ids=["float", "schedule"])
def test_addons_config_round_trip_keeps_the_exclusions(name, learning_rate):
    variables, others = namesakes(), namesakes()
    optimizer = build(name, [variables[1]], learning_rate)
    optimizer._create_all_weights(variables)
    serialized = json.loads(json.dumps(tf.keras.optimizers.serialize(optimizer), default=float))
    copy = tf.keras.optimizers.deserialize(serialized, use_legacy_optimizer=True)
    assert type(copy) is type(optimizer)
    assert copy.get_config()["exclude"] == [1]
    train(optimizer, variables, range(4))
    train(copy, others, range(4))
    for value, other in zip(variables, others, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-6)


@needs_addons
@pytest.mark.parametrize("name", ["lamb", "adamw"])
def test_addons_config_without_positions_is_refused(name):
    with pytest.raises(ValueError, match="positions"):
        build(name, namesakes()).get_config()


@needs_addons
def test_addons_leave_the_choice_to_the_model_only_where_nothing_was_chosen():
    from simclr_tf.optimizers.addons_optimizers import LAMB

    for chosen, expected in ((None, [1]), ([0], [0]), ([], [])):
        variables = namesakes()
        optimizer = LAMB(learning_rate=0.1, weight_decay=0.5, exclude=chosen)
        optimizer.exclude_by_default([variables[1]])
        optimizer.apply_gradients([(tf.ones(2), variable) for variable in variables])
        assert optimizer.get_config()["exclude"] == expected


@pytest.mark.parametrize("name", AVAILABLE)
def test_first_step_of_a_warm_up_moves_nothing_and_the_second_does(name):
    variables = namesakes()
    optimizer = build(name, [variables[1]], WarmUpCosine(0.5, 2, 6))
    for value in train(optimizer, variables, [0]):
        np.testing.assert_array_equal(value, [3.0, -4.0])
    for value in train(optimizer, variables, [1]):
        assert np.abs(value - [3.0, -4.0]).max() > 1e-4
    assert int(optimizer.iterations) == 2


@pytest.mark.parametrize("name", AVAILABLE)
def test_resumed_equals_uninterrupted(name, tmp_path):
    def make():
        variables = namesakes()
        optimizer = build(name, [variables[1]], WarmUpCosine(0.5, 2, 9))
        return variables, optimizer, tf.train.Checkpoint(variables=variables, optimizer=optimizer)

    variables, optimizer, checkpoint = make()
    train(optimizer, variables, range(3))
    path = checkpoint.write(str(tmp_path / "state"))
    expected = train(optimizer, variables, [3, 4])

    variables, optimizer, checkpoint = make()
    status = checkpoint.read(path)
    resumed = train(optimizer, variables, [3, 4])
    status.assert_existing_objects_matched()
    for value, other in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("name", AVAILABLE)
def test_trains_a_model_with_its_own_train_step(name):
    class Model(tf.keras.Sequential):
        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(data, training=True) - 1.0) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    tf.keras.utils.set_random_seed(0)
    model = Model([tf.keras.layers.Dense(3), tf.keras.layers.Dense(1)])
    model.build([None, 2])
    biases = [layer.bias for layer in model.layers]
    model.compile(build(name, biases, 0.01, weight_decay=1e-4))
    data = tf.random.stateless_normal([32, 2], [0, 1])
    losses = model.fit(data, batch_size=8, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.skipif(HAS_ADDONS, reason="tensorflow-addons exists here")
def test_lamb_without_addons_names_the_remedy():
    with pytest.raises(SettingError, match="`optimizer=lamb` .*needs Python 3.11"):
        build("lamb")


def test_unknown_name_lists_the_known_ones():
    known = "momentum, adam, lars, lamb, adamw"
    with pytest.raises(SettingError, match=f"`optimizer=sgdx` must be one of {known}"):
        build("sgdx")
