"""Linear evaluation against Keras, by the paper's settings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.evaluation import linear


def test_equals_keras_with_the_papers_settings() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    labels = np.argmax(features[:, :3], axis=1)
    batches = list(
        itertools.islice(linear.shuffled_batches(features, labels, batch=32, seed=1), 20)
    )
    ours = linear.train_linear(batches, dim=5, classes=3, steps=20)

    layer = tf.keras.layers.Dense(3, kernel_initializer="zeros")
    layer.build([None, 5])
    schedule = tf.keras.optimizers.schedules.CosineDecay(0.1 * 32 / 256, 20)
    optimizer = tf.keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for x, y in batches:
        with tf.GradientTape() as tape:
            value = loss(y, layer(x))
        optimizer.apply_gradients(
            zip(tape.gradient(value, layer.trainable_variables), layer.trainable_variables)
        )
    np.testing.assert_allclose(ours, np.vstack([layer.kernel, layer.bias]), atol=1e-6)
    assert np.abs(ours).max() > 0.01


def test_epochs_are_whole_and_90() -> None:
    assert linear.EPOCHS == 90
    assert linear.linear_steps(50_000, 4096) == 1099  # 90 epochs are 1098.6 batches
    features = np.arange(10, dtype=np.float32)[:, None]
    batches = linear.shuffled_batches(features, np.arange(10), batch=4, seed=2)
    seen = np.concatenate([labels for _, labels in itertools.islice(batches, 5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    for x, y in itertools.islice(batches, 3):
        assert x[:, 0].tolist() == y.tolist()


def test_more_classes_than_labels_are_no_trouble() -> None:
    weights = linear.train_linear(
        [(np.ones([2, 3], np.float32), np.array([0, 4]))], dim=3, classes=9, steps=1
    )
    assert weights.shape == (4, 9)
    assert weights[3, [0, 4]] == pytest.approx(0.1 * 2 / 256 * 1.9 * (0.5 - 1 / 9), rel=1e-5)
