"""Solarization against Pillow's definition, in NumPy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf.augmentation import RandomSolarize


def test_bright_pixels_are_inverted(images, seeds):
    layer = RandomSolarize((0, 255), 0.5, threshold=128 / 255)
    given = images(20, 5, 7)
    output = layer({"images": given, "seeds": seeds(20)})["images"].numpy()
    apply = layer.draw(tf.constant(seeds(20)))["apply"].numpy()
    assert 0 < apply.sum() < 20
    expected = np.where(given >= 128, 255 - given, given)
    np.testing.assert_array_equal(output[apply], expected[apply])
    np.testing.assert_array_equal(output[~apply], given[~apply])


def test_another_range_is_another_scale(images, seeds):
    given = images(8, 5, 7).astype(np.float32)
    bytes_out = RandomSolarize((0, 255), 1.0)({"images": given, "seeds": seeds(8)})["images"]
    unit_out = RandomSolarize((-1, 1), 1.0)({"images": given / 127.5 - 1, "seeds": seeds(8)})
    np.testing.assert_allclose((unit_out["images"] + 1) * 127.5, bytes_out, atol=1e-3)
