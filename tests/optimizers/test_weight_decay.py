"""The L2 penalty by hand."""

import numpy as np

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.optimizers import l2_penalty


def test_half_the_squares_and_their_gradient():
    variables = [tf.Variable([[1.0, 2.0], [3.0, 4.0]]), tf.Variable([5.0])]
    with tf.GradientTape() as tape:
        penalty = l2_penalty(iter(variables), 0.1)
    np.testing.assert_allclose(penalty, 0.1 * (1 + 4 + 9 + 16 + 25) / 2, rtol=1e-6)
    for gradient, variable in zip(tape.gradient(penalty, variables), variables, strict=True):
        np.testing.assert_allclose(gradient, 0.1 * variable, rtol=1e-6)


def test_nothing_to_decay_is_zero():
    penalty = l2_penalty([], 0.1)
    assert penalty.dtype == tf.float32
    assert float(penalty) == 0


def test_half_precision_weights_do_not_overflow():
    penalty = l2_penalty([tf.Variable(tf.fill([2], tf.constant(300.0, tf.float16)))], 1.0)
    np.testing.assert_allclose(penalty, 90000.0)
