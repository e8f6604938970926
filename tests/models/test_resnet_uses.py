"""ResNet in other precisions, restored, exported; and one gradient that libraries get wrong."""

from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

from simclr_tf.models import ResNet
from simclr_tf.models.blocks import FixedPaddingConv2D

IMAGES = tf.constant(np.random.default_rng(1).uniform(size=(2, 32, 32, 3)), tf.float32)
ARGUMENTS = {"width_multiplier": 0.125, "sk_ratio": 0.0625, "se_ratio": 0.25}


def randomize(encoder: ResNet) -> None:
    """Gives weights and statistics values unlike those of any new network; gammas are not zero."""
    rng = np.random.default_rng(0)
    for variable in encoder.variables:
        if variable.shape.rank > 1:
            fan = np.prod(variable.shape[:-1])
            variable.assign(rng.normal(size=variable.shape) * np.sqrt(2 / fan))
        else:
            variable.assign(rng.uniform(0.5, 1.0, variable.shape))


def test_mixed_bfloat16_is_close_to_float32():
    full = ResNet(50, cifar_stem=True, **ARGUMENTS)
    full(IMAGES)
    randomize(full)
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = ResNet(50, cifar_stem=True, **ARGUMENTS)
        mixed(IMAGES)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert all(variable.dtype == tf.float32 for variable in mixed.variables)
    mixed.set_weights(full.get_weights())
    features = mixed(IMAGES, training=False)
    assert features.dtype == tf.bfloat16
    expected = full(IMAGES, training=False).numpy()
    error = np.linalg.norm(tf.cast(features, tf.float32) - expected) / np.linalg.norm(expected)
    assert error < 0.03
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(mixed(IMAGES, training=True), tf.float32))
    for gradient in tape.gradient(loss, mixed.trainable_variables):
        assert tf.reduce_all(tf.math.is_finite(gradient))
    for statistic in mixed.non_trainable_variables:
        assert tf.reduce_all(tf.math.is_finite(statistic))


def test_checkpoints_restore_every_variable(tmp_path):
    encoder = ResNet(50, **ARGUMENTS)
    encoder(IMAGES)
    randomize(encoder)
    path = tf.train.Checkpoint(encoder=encoder).write(str(tmp_path / "ckpt"))
    other = ResNet(50, **ARGUMENTS)
    status = tf.train.Checkpoint(encoder=other).read(path)
    other(IMAGES)
    status.assert_consumed()
    for expected, restored in zip(encoder.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(restored, expected)


def test_saved_models_compute_the_same(tmp_path):
    module = tf.Module()
    module.encoder = ResNet(18, **ARGUMENTS)
    module.encoder(IMAGES)
    randomize(module.encoder)
    module.embed = tf.function(
        lambda images: module.encoder.endpoints(images, training=False),
        input_signature=[tf.TensorSpec([None, 32, 32, 3])],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    expected = module.encoder.endpoints(IMAGES, training=False)
    for name, value in loaded.embed(IMAGES).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-4)


def test_config_makes_the_same_network():
    encoder = ResNet(34, cifar_stem=True, name="f", global_bn=False, **ARGUMENTS)
    again = ResNet.from_config(encoder.get_config())
    encoder(IMAGES)
    again(IMAGES)
    assert [v.shape for v in again.variables] == [v.shape for v in encoder.variables]
    assert again.get_config() == encoder.get_config()


@pytest.mark.parametrize("channels", [1, 3, 6, 16])
def test_gradient_of_a_strided_shortcut_is_right_for_few_channels(channels):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, 8, 8, channels)).astype(np.float32)
    weights = rng.normal(size=(4, 4, 4, 5)).astype(np.float32)
    conv = FixedPaddingConv2D(5, 1, 2)
    conv(images)
    for _ in range(3):  # With oneDNN, whether it was wrong depended on what memory held before.
        tf.random.normal([1000])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(conv(images) * weights)
        expected = np.einsum("bhwi,bhwo->io", images[:, ::2, ::2], weights)
        gradient = tape.gradient(loss, conv.kernel)
        np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-4, atol=1e-4)
