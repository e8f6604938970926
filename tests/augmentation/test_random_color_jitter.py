"""Color jitter against tf.image, one image and one operation at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augmentation import RandomColorJitter

UNIT = (0.0, 1.0)


def jitter_with_tf_image(image, drawn, index):
    """The authors' sequence: an operation, a clip, the next operation."""
    operations = [
        lambda x: x * drawn["brightness"][index],
        lambda x: tf.image.adjust_contrast(x, drawn["contrast"][index]),
        lambda x: tf.image.adjust_saturation(x, drawn["saturation"][index]),
        lambda x: tf.image.adjust_hue(x, drawn["hue"][index]),
    ]
    for operation in drawn["order"][index]:
        image = tf.clip_by_value(operations[operation](image), 0.0, 1.0)
    return image


def draw(layer, seeds):
    drawn = layer.draw(tf.constant(seeds))
    return {name: value.numpy() for name, value in drawn.items()}


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_jitter_equals_tf_image(images, seeds, strength):
    layer = RandomColorJitter(UNIT, strength=strength)
    given = (images(64, 6, 7) / 255).astype(np.float32)
    output = layer({"images": given, "seeds": seeds(64)})["images"].numpy()
    drawn = draw(layer, seeds(64))
    assert 0 < drawn["apply"].sum() < 64
    for index, image in enumerate(given):
        if drawn["apply"][index]:
            expected = jitter_with_tf_image(image, drawn, index)
            np.testing.assert_allclose(output[index], expected, atol=2e-5)
        else:
            np.testing.assert_array_equal(output[index], image)


def test_every_order_equals_tf_image(images, seeds):
    """All 24 orders, with factors large enough for every step to clip."""
    layer = RandomColorJitter(UNIT, strength=1.0)
    given = (images(24, 6, 7) / 255).astype(np.float32)
    drawn = draw(layer, seeds(24))
    drawn["apply"] = np.ones(24, bool)
    drawn["order"] = np.array(list(itertools.permutations(range(4))), np.int32)
    drawn["brightness"] = np.linspace(1.2, 1.8, 24, dtype=np.float32)
    drawn["contrast"] = np.linspace(1.8, 1.2, 24, dtype=np.float32)
    drawn["saturation"] = np.linspace(0.2, 1.8, 24, dtype=np.float32)
    transformations = {name: tf.constant(value) for name, value in drawn.items()}
    output = layer.augment_images(tf.constant(given), transformations).numpy()
    for index, image in enumerate(given):
        expected = jitter_with_tf_image(image, drawn, index)
        np.testing.assert_allclose(output[index], expected, atol=2e-5)


@pytest.mark.parametrize("value_range", [(0, 255), (-1, 1)])
def test_value_range_only_scales(images, seeds, value_range):
    low, high = value_range
    given = (images(32, 6, 7) / 255).astype(np.float32)
    expected = RandomColorJitter(UNIT)({"images": given, "seeds": seeds(32)})["images"]
    layer = RandomColorJitter(value_range)
    output = layer({"images": given * (high - low) + low, "seeds": seeds(32)})["images"]
    np.testing.assert_allclose((output - low) / (high - low), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("strength", "factors", "hue"),
    [(0.5, (0.6, 1.4), 0.1), (1.0, (0.2, 1.8), 0.2), (2.0, (0, 2.6), 0.4)],
)
def test_factors_are_the_papers(seeds, strength, factors, hue):
    count = 10_000
    drawn = draw(RandomColorJitter(UNIT, strength=strength), seeds(count))
    assert abs(drawn["apply"].mean() - 0.8) < 4 * 0.4 / np.sqrt(count)
    uniform = (np.arange(count) + 0.5) / count
    bounds = {"brightness": factors, "contrast": factors, "saturation": factors, "hue": (-hue, hue)}
    for name, (low, high) in bounds.items():
        gap = np.abs(np.sort(drawn[name]) - (low + (high - low) * uniform)).max()
        assert gap < (high - low) * 1.95 / np.sqrt(count)
    correlation = np.corrcoef([drawn[name] for name in bounds])
    assert np.abs(correlation - np.eye(4)).max() < 4 / np.sqrt(count)


def test_every_order_is_equally_likely(seeds):
    drawn = draw(RandomColorJitter(UNIT), seeds(24_000))
    orders, counts = np.unique(drawn["order"], axis=0, return_counts=True)
    assert len(orders) == 24
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    # Chi-square with 23 degrees of freedom: one in ten thousand lies above 56.
    assert np.sum((counts - 1000) ** 2) / 1000 < 56
