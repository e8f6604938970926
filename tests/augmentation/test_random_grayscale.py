"""Grayscale against a weighted sum in NumPy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf.augmentation import RandomGrayscale


def test_grayscale_is_the_luma(images, seeds):
    layer = RandomGrayscale(0.5)
    given = images(20, 5, 7).astype(np.float32)
    output = layer({"images": given, "seeds": seeds(20)})["images"].numpy()
    drawn = layer.draw(tf.constant(seeds(20)))
    apply = drawn["apply"].numpy()
    luma = given @ np.array([0.2989, 0.5870, 0.1140], np.float32)  # ITU-R BT.601
    expected = np.repeat(luma[..., np.newaxis], 3, axis=-1)
    np.testing.assert_allclose(output[apply], expected[apply], atol=1e-4)
    np.testing.assert_array_equal(output[~apply], given[~apply])
    assert 0 < apply.sum() < 20


def test_a_fifth_of_the_images_lose_color(seeds):
    drawn = RandomGrayscale().draw(tf.constant(seeds(10_000)))
    assert abs(drawn["apply"].numpy().mean() - 0.2) < 4 * 0.4 / 100
