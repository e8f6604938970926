"""Exclusions know variables by object."""

import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.optimizers.exclusion import Exclusion


@pytest.fixture
def variables():
    return [tf.Variable([1.0], name="same") for _ in range(4)]


def test_namesakes_are_told_apart(variables):
    exclusion = Exclusion([variables[2], 0])
    exclusion.bind(variables)
    assert [variable in exclusion for variable in variables] == [True, False, True, False]
    assert exclusion.positions() == [0, 2]


def test_member_that_is_not_trained_is_left_out(variables):
    exclusion = Exclusion(variables[:2])
    exclusion.bind(variables[1:])
    assert exclusion.positions() == [0]
    assert variables[0] not in exclusion


def test_positions_mean_other_objects_after_binding_anew(variables):
    exclusion = Exclusion([1])
    exclusion.bind(variables)
    exclusion.bind(variables[::-1])
    assert [variable in exclusion for variable in variables] == [False, False, True, False]


def test_choice_is_open_until_somebody_chooses(variables):
    exclusion = Exclusion(None)
    exclusion.bind(variables)
    assert exclusion.positions() is None
    assert variables[1] not in exclusion
    exclusion.default_to([variables[1]])
    exclusion.default_to([variables[2]])  # too late
    assert exclusion.positions() == [1]
    assert [variable in exclusion for variable in variables] == [False, True, False, False]


def test_positions_are_known_before_binding_only_if_given(variables):
    assert Exclusion([3, 1]).positions() == [1, 3]
    with pytest.raises(ValueError, match="build"):
        Exclusion([variables[0]]).positions()


def test_membership_before_binding_is_an_error(variables):
    with pytest.raises(RuntimeError, match="bound"):
        _ = variables[0] in Exclusion([variables[0]])


@pytest.mark.parametrize("position", [-1, 4])
def test_refuses_positions_out_of_range(variables, position):
    with pytest.raises(ValueError, match="fit 4 variables"):
        Exclusion([position]).bind(variables)


def test_refuses_names():
    with pytest.raises(TypeError, match="not names"):
        Exclusion(["bias"])


def test_mixed_precision_wrappers_are_the_variables_they_wrap():
    layer = tf.keras.layers.Dense(2, dtype=tf.keras.mixed_precision.Policy("mixed_bfloat16"))
    layer.build([None, 3])
    exclusion = Exclusion([layer.bias])
    exclusion.bind(layer.trainable_variables)
    assert exclusion.positions() == [1]
    assert layer.bias in exclusion
    assert layer.kernel not in exclusion
