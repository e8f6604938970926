"""Color channels and the evaluation crop, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.data import preprocess_for_eval, to_rgb


def cubic_matrix(size: int, out: int) -> np.ndarray:
    """Row k holds the weights of Keys' cubic (a = -0.5) for output k, edges renormalized."""
    matrix = np.zeros((out, size))
    for k in range(out):
        center = (k + 0.5) * size / out - 0.5
        for j in range(int(np.floor(center)) - 1, int(np.floor(center)) + 3):
            t = abs(center - j)
            weight = 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
            if 0 <= j < size:
                matrix[k, j] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


def expected_eval(image: np.ndarray, size: int) -> np.ndarray:
    """`preprocess_for_eval` in NumPy, float64."""
    image = image.astype(np.float64) / 255
    height, width = image.shape[:2]
    if size > 32:
        side = int(np.rint(0.875 * min(height, width)))
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        image = image[top : top + side, left : left + side]
        height = width = side
    rows, columns = cubic_matrix(height, size), cubic_matrix(width, size)
    return np.clip(np.einsum("oh,hwc,pw->opc", rows, image, columns, optimize=True), 0, 1)


def random_image(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, channels)).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (50, 70, 48),
        (71, 50, 33),
        (500, 375, 224),
        (28, 28, 32),
        (20, 41, 32),
        (64, 64, 24),
        (7, 9, 64),
        (8, 8, 1),
        (1, 1, 1),
        (1, 9, 33),
    ],
)
def test_eval_is_crop_and_bicubic_resize(height, width, size):
    image = random_image(height, width)
    result = preprocess_for_eval(tf.constant(image), size)
    assert result.shape == (size, size, 3)
    # TensorFlow tabulates the cubic at 1,024 steps.
    np.testing.assert_allclose(result, expected_eval(image, size), atol=4e-3)


def test_eval_clips_overshoot():
    image = np.kron(np.array([[0, 255], [255, 0]]), np.ones((4, 4)))[..., None].repeat(3, -1)
    result = preprocess_for_eval(tf.constant(image.astype(np.uint8)), 32).numpy()
    assert result.min() == 0.0
    assert result.max() == 1.0


def test_eval_leaves_a_small_image_of_the_right_size_as_it_is():
    image = random_image(32, 32)
    result = preprocess_for_eval(tf.constant(image), 32)
    np.testing.assert_allclose(result, image / 255.0, atol=1e-7)


@pytest.mark.parametrize("size", [32, 48])
def test_eval_with_unknown_sizes_in_a_graph(size):
    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])
    def dynamic(image):
        return preprocess_for_eval(image, size)

    for height, width in [(40, 60), (61, 35), (size, size)]:
        image = tf.constant(random_image(height, width))
        result = dynamic(image)
        assert result.shape == (size, size, 3)
        np.testing.assert_allclose(result, preprocess_for_eval(image, size), atol=1e-6)


def test_eval_of_a_batch_is_eval_of_each():
    images = np.stack([random_image(50, 60), random_image(60, 50).transpose(1, 0, 2)])
    batch = preprocess_for_eval(tf.constant(images), 40)
    for image, result in zip(images, batch, strict=True):
        np.testing.assert_allclose(result, preprocess_for_eval(tf.constant(image), 40), atol=1e-6)


def test_eval_of_floats_equals_eval_of_bytes():
    image = random_image(40, 50)
    floats = tf.constant(image / 255.0, tf.float32)
    np.testing.assert_allclose(
        preprocess_for_eval(floats, 36), preprocess_for_eval(tf.constant(image), 36), atol=1e-6
    )


@pytest.mark.parametrize("leading", [(), (2,)])
def test_to_rgb(leading):
    gray = np.random.default_rng(0).integers(0, 256, (*leading, 5, 6, 1)).astype(np.uint8)
    rgb = np.concatenate([gray, 255 - gray, gray // 2], axis=-1)
    share = gray / 255  # as alpha, over white
    for channels, expected in (
        (gray, gray.repeat(3, axis=-1)),
        (rgb, rgb),
        (np.concatenate([rgb, gray], axis=-1), np.rint(rgb * share + 255 * (1 - share))),
    ):
        np.testing.assert_array_equal(to_rgb(tf.constant(channels)), expected)
        wide = tf.constant(channels.astype(np.uint16) * 257)
        np.testing.assert_array_equal(to_rgb(wide), expected)
        assert to_rgb(wide).dtype == tf.uint8


def test_to_rgb_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="channels"):
        to_rgb(tf.zeros((4, 4, 2), tf.uint8))
    with pytest.raises(ValueError, match="uint8"):
        to_rgb(tf.zeros((4, 4, 3)))
