"""Blur against a plain NumPy convolution, and the borders it must not darken."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augmentation import RandomGaussianBlur


def blur_in_numpy(image, sigma, radius):
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    height, width, _ = image.shape
    padded = np.pad(image, [(radius, radius), (radius, radius), (0, 0)], mode="edge")
    rows = sum(weight * padded[tap : tap + height] for tap, weight in enumerate(kernel))
    return sum(weight * rows[:, tap : tap + width] for tap, weight in enumerate(kernel))


@pytest.mark.parametrize(
    ("shape", "radius"), [((32, 32), 1), ((64, 30), 3), ((20, 50), 1), ((40, 1), 2)]
)
def test_blur_equals_numpy(images, seeds, shape, radius):
    layer = RandomGaussianBlur(0.7)
    given = images(10, *shape[:1], max(shape[1], 2))[:, :, : shape[1]]
    output = layer({"images": given, "seeds": seeds(10)})["images"].numpy()
    drawn = layer.draw(tf.constant(seeds(10)))
    apply, sigma = drawn["apply"].numpy(), drawn["sigma"].numpy()
    assert 0 < apply.sum() < 10
    for index in range(10):
        if apply[index]:
            expected = blur_in_numpy(given[index].astype(np.float64), sigma[index], radius)
            np.testing.assert_allclose(output[index], expected, atol=1e-3)
        else:
            np.testing.assert_array_equal(output[index], given[index])


def test_inside_equals_a_zero_padded_convolution(images, seeds):
    """The interior is the authors' code's; only the border departs from it."""
    layer = RandomGaussianBlur(1.0)
    given = (images(1, 60, 60) / 255).astype(np.float32)
    output = layer({"images": given, "seeds": seeds(1)})["images"].numpy()
    drawn = layer.draw(tf.constant(seeds(1)))
    kernel = np.exp(-(np.arange(-3, 4) ** 2) / (2 * float(drawn["sigma"][0]) ** 2))
    square = np.outer(kernel, kernel) / kernel.sum() ** 2
    filters = np.tile(square[:, :, np.newaxis, np.newaxis], [1, 1, 3, 1]).astype(np.float32)
    expected = tf.nn.depthwise_conv2d(given, filters, [1, 1, 1, 1], "SAME").numpy()
    np.testing.assert_allclose(output[:, 3:-3, 3:-3], expected[:, 3:-3, 3:-3], atol=1e-5)


def test_flat_images_stay_flat(seeds):
    output = RandomGaussianBlur(1.0)({"images": tf.fill([8, 32, 32, 3], 0.7), "seeds": seeds(8)})
    np.testing.assert_allclose(output["images"], 0.7, atol=1e-6)


def test_images_below_twenty_pixels_are_left_alone(images, seeds):
    output = RandomGaussianBlur(1.0)({"images": images(4, 19, 40), "seeds": seeds(4)})["images"]
    np.testing.assert_array_equal(output, images(4, 19, 40))


def test_rate_and_strength_are_the_papers(seeds):
    drawn = RandomGaussianBlur().draw(tf.constant(seeds(10_000)))
    assert abs(drawn["apply"].numpy().mean() - 0.5) < 4 * 0.5 / 100
    sigma = np.sort(drawn["sigma"].numpy())
    expected = 0.1 + 1.9 * (np.arange(10_000) + 0.5) / 10_000
    assert np.abs(sigma - expected).max() < 1.9 * 1.95 / 100
    assert abs(np.corrcoef(drawn["apply"], drawn["sigma"])[0, 1]) < 4 / 100
