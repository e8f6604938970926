"""Flips against NumPy's."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf.augmentation import RandomHorizontalFlip


def test_flip_equals_numpy(images, seeds):
    layer = RandomHorizontalFlip()
    given = images(20, 5, 7)
    output = layer({"images": given, "seeds": seeds(20)})["images"].numpy()
    drawn = layer.draw(tf.constant(seeds(20)))
    apply = drawn["apply"].numpy()
    np.testing.assert_array_equal(output[apply], given[apply, :, ::-1])
    np.testing.assert_array_equal(output[~apply], given[~apply])
    assert 0 < apply.sum() < 20


def test_half_of_the_images_are_flipped(seeds):
    drawn = RandomHorizontalFlip().draw(tf.constant(seeds(10_000)))
    assert abs(drawn["apply"].numpy().mean() - 0.5) < 4 * 0.5 / 100


def test_probability_one_flips_all(images, seeds):
    output = RandomHorizontalFlip(1)({"images": images(8, 4, 6), "seeds": seeds(8)})["images"]
    np.testing.assert_array_equal(output, images(8, 4, 6)[:, :, ::-1])
