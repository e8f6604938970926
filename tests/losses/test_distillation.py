"""The distillation loss against NumPy, and what its temperature does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from simclr_tf.losses import distillation_loss

pytestmark = pytest.mark.smoke

rng = np.random.default_rng(0)
TEACHER, STUDENT = rng.normal(0, 3, (2, 5, 4))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_loss_and_gradient_are_those_of_the_equation(temperature: float) -> None:
    """-sum P_T log P_S, times temperature**2, whose gradient is temperature * (P_S - P_T)."""
    teacher, student = (tf.constant(logits, tf.float32) for logits in (TEACHER, STUDENT))
    with tf.GradientTape() as tape:
        tape.watch([teacher, student])
        losses = distillation_loss(teacher, student, temperature=temperature)
    to_teacher, to_student = tape.gradient(losses, [teacher, student])
    predicted, answered = softmax(TEACHER / temperature, 1), softmax(STUDENT / temperature, 1)
    expected = -(temperature**2) * np.sum(predicted * log_softmax(STUDENT / temperature, 1), axis=1)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        to_student, temperature * (answered - predicted), rtol=1e-4, atol=1e-6
    )
    assert to_teacher is None


def test_a_sure_teacher_is_a_label() -> None:
    labels = [0, 3, 1, 1, 2]
    sure = 1e4 * tf.one_hot(labels, 4)
    student = tf.constant(STUDENT, tf.float32)
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=student)
    np.testing.assert_allclose(distillation_loss(sure, student), expected, rtol=1e-6)


def test_what_the_teacher_is_itself_costs_its_entropy_and_has_no_gradient() -> None:
    student = tf.Variable(TEACHER, dtype=tf.float32)
    with tf.GradientTape() as tape:
        losses = distillation_loss(tf.constant(TEACHER, tf.float32), student)
    probabilities = softmax(TEACHER, 1)
    np.testing.assert_allclose(losses, -np.sum(probabilities * np.log(probabilities), 1), rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(losses, student), np.zeros((5, 4)), atol=1e-6)


def test_16_bit_logits_are_compared_in_float32() -> None:
    teacher, student = (tf.cast(tf.constant(x), tf.bfloat16) for x in (TEACHER, STUDENT))
    exact = distillation_loss(tf.cast(teacher, tf.float32), tf.cast(student, tf.float32))
    losses = distillation_loss(teacher, student)
    assert losses.dtype == tf.float32
    np.testing.assert_array_equal(losses, exact)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="temperature=0 must be above 0"):
        distillation_loss(tf.zeros([2, 3]), tf.zeros([2, 3]), temperature=0)
    with pytest.raises(ValueError, match="the teacher has 4 classes, the student 3"):
        distillation_loss(tf.zeros([2, 4]), tf.zeros([2, 3]))
