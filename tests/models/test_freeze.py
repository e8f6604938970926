"""ResNet.freeze: frozen parts stay bit for bit in training, the others move."""

from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

from simclr_tf.models import ResNet

IMAGES = tf.constant(np.random.default_rng(0).uniform(size=(4, 16, 16, 3)), tf.float32)


def parts(encoder: ResNet) -> list[tf.keras.layers.Layer]:
    return [encoder.stem, *encoder.block_groups]


def make(after_block: int, depth: int = 18, **arguments) -> ResNet:
    encoder = ResNet(depth, width_multiplier=0.125, cifar_stem=True, **arguments)
    encoder.freeze(after_block)
    encoder(IMAGES)
    for layer in encoder.submodules:  # A zero gamma would stop gradients inside blocks.
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.gamma.assign(tf.ones_like(layer.gamma))
    return encoder


def train_once(encoder: ResNet) -> None:
    variables = encoder.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(IMAGES, training=True) ** 2)
    for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True):
        variable.assign_sub(0.1 * gradient)


@pytest.mark.parametrize("arguments", [{}, {"depth": 50, "sk_ratio": 0.0625, "se_ratio": 0.25}])
@pytest.mark.parametrize("after_block", [-1, 0, 1, 2, 3, 4])
def test_frozen_parts_stay_and_others_move(after_block, arguments):
    encoder = make(after_block, **arguments)
    before = [part.get_weights() for part in parts(encoder)]
    train_once(encoder)
    for index, (part, old) in enumerate(zip(parts(encoder), before, strict=True)):
        same = [np.array_equal(a, b) for a, b in zip(old, part.get_weights(), strict=True)]
        if index <= after_block:
            assert all(same)
            assert not part.trainable_variables
        else:
            assert not any(same)


def test_gradients_stop_where_the_frozen_part_ends():
    for after_block, reaches in ((-1, True), (2, False)):
        encoder = make(after_block)
        with tf.GradientTape() as tape:
            tape.watch(IMAGES)
            loss = tf.reduce_sum(encoder(IMAGES, training=True))
        assert (tape.gradient(loss, IMAGES) is not None) is reaches


def test_thawing_and_freezing_anew():
    encoder = make(3)
    encoder.freeze(-1)
    total = len(encoder.trainable_variables)
    train_once(encoder)
    encoder.freeze(1)
    assert 0 < len(encoder.trainable_variables) < total
    encoder.trainable = True  # Lifts the gradient stop too, or train_once would meet None.
    assert len(encoder.trainable_variables) == total
    train_once(encoder)


@pytest.mark.parametrize("after_block", [-2, 5])
def test_unknown_blocks_are_refused(after_block):
    with pytest.raises(ValueError, match="-1 to 4"):
        ResNet(18).freeze(after_block)
