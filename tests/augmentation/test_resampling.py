"""A part of one image against tf.image, small parts and large ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augmentation.resampling import crop_and_resize


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [(3, 5, 20, 31), (10, 40, 1100, 1000)], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_part_equals_tf_image(box, flip, dtype):
    """Above a million pixels a part is resized from bytes: the same numbers in less time."""
    image = np.random.default_rng(0).integers(0, 256, (1150, 1050, 3)).astype(dtype)
    top, left, height, width = box
    names = ("top", "left", "box_height", "box_width")
    output = crop_and_resize(
        tf.constant(image), dict(zip(names, map(tf.constant, box))), tf.constant(flip), (24, 16)
    )
    part = image[top : top + height, left : left + width].astype(np.float32)
    expected = tf.image.resize(part, (24, 16), method="bicubic")
    np.testing.assert_array_equal(output, expected[:, ::-1] if flip else expected)
