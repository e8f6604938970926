"""Boxes against plain NumPy drawing, crops against tf.image, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.augmentation import RandomResizedCrop

UNIT = (0.0, 1.0)


def draw(layer, shape, seeds):
    drawn = layer.draw(tf.constant(seeds), *shape)
    return {name: value.numpy() for name, value in drawn.items()}


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    ("shape", "size"), [((32, 32), (32, 32)), ((45, 60), (24, 24)), ((37, 21), (56, 40))]
)
def test_crop_equals_tf_image(images, seeds, shape, size, antialias):
    given = (images(24, *shape) / 255).astype(np.float32)
    layer = RandomResizedCrop(*size, value_range=UNIT, antialias=antialias)
    output = layer({"images": given, "seeds": seeds(24)})["images"].numpy()
    boxes = draw(layer, shape, seeds(24))
    assert output.shape == (24, *size, 3)
    for index, image in enumerate(given):
        top, left, height, width = (
            int(boxes[name][index]) for name in ("top", "left", "box_height", "box_width")
        )
        crop = tf.image.crop_to_bounding_box(image, top, left, height, width)
        resized = tf.image.resize(crop, size, method="bicubic", antialias=antialias)
        expected = np.clip(resized, 0, 1)
        np.testing.assert_allclose(output[index], expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 1), (3, 40)])
def test_tiny_boxes_equal_tf_image(images, height, width):
    given = (images(1, 9, 44) / 255).astype(np.float32)
    layer = RandomResizedCrop(16, 12, value_range=UNIT)
    box = {"top": [6], "left": [4], "box_height": [height], "box_width": [width]}
    output = layer.augment_images(tf.constant(given), {k: tf.constant(v) for k, v in box.items()})
    crop = tf.image.crop_to_bounding_box(given, 6, 4, height, width)
    expected = np.clip(tf.image.resize(crop, [16, 12], method="bicubic"), 0, 1)
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_result_is_clipped_to_the_value_range(images, seeds):
    given = np.where(images(16, 20, 20) > 127, 255, 0).astype(np.uint8)
    output = RandomResizedCrop(32, 32, value_range=(0, 255))({"images": given, "seeds": seeds(16)})
    assert output["images"].numpy().min() == 0
    assert output["images"].numpy().max() == 255


def sample_boxes(rng, count, shape, output_aspect):
    """Draws, rounds and rejects boxes one at a time: the docstring in a loop."""
    height, width = shape
    boxes = []
    while len(boxes) < count:
        area = rng.uniform(0.08, 1) * height * width
        aspect = rng.uniform(3 / 4, 4 / 3) * output_aspect
        box = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if box[0] <= height and box[1] <= width:
            top, left = rng.integers(height - box[0] + 1), rng.integers(width - box[1] + 1)
            boxes.append((*box, top, left))
    return np.array(boxes)


def largest_gap_between_distributions(first, second):
    """The Kolmogorov-Smirnov statistic."""
    grid = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(s), grid, side="right") / len(s) for s in (first, second)]
    return np.abs(shares[0] - shares[1]).max()


SQUARE = ((200, 200), (32, 32))
ELONGATED = [((200, 1000), (32, 32)), ((960, 128), (60, 40))]


@pytest.mark.parametrize(("shape", "size"), [SQUARE, ((150, 200), (40, 60)), *ELONGATED])
def test_boxes_are_distributed_like_the_loop(seeds, shape, size):
    count = 4000
    layer = RandomResizedCrop(*size, value_range=UNIT)
    drawn = draw(layer, shape, seeds(count))
    expected = sample_boxes(np.random.default_rng(3), count, shape, size[1] / size[0])
    height, width = drawn["box_height"], drawn["box_width"]
    assert np.all(drawn["top"] >= 0)
    assert np.all(drawn["top"] + height <= shape[0])
    assert np.all(drawn["left"] >= 0)
    assert np.all(drawn["left"] + width <= shape[1])
    pairs = [
        (height * width, expected[:, 0] * expected[:, 1]),
        (width / height, expected[:, 1] / expected[:, 0]),
        (drawn["top"], expected[:, 2]),
        (drawn["left"], expected[:, 3]),
    ]
    # 1.95 sqrt(2 / n) is passed by chance once in a thousand.
    for ours, theirs in pairs:
        assert largest_gap_between_distributions(ours, theirs) < 1.95 * np.sqrt(2 / count)


def test_small_boxes_have_uniform_area_and_aspect(seeds):
    layer = RandomResizedCrop(32, 32, value_range=UNIT, area_range=(0.08, 0.5))
    drawn = draw(layer, (1000, 1000), seeds(4000))
    area = drawn["box_height"] * drawn["box_width"] / 1e6
    aspect = drawn["box_width"] / drawn["box_height"]
    uniform = (np.arange(4000) + 0.5) / 4000
    assert largest_gap_between_distributions(area, 0.08 + 0.42 * uniform) < 1.95 / np.sqrt(4000)
    expected = 3 / 4 + (4 / 3 - 3 / 4) * uniform
    assert largest_gap_between_distributions(aspect, expected) < 1.95 / np.sqrt(4000)
    assert abs(np.corrcoef(area, aspect)[0, 1]) < 4 / np.sqrt(4000)


def test_every_position_is_reached(seeds):
    layer = RandomResizedCrop(
        4, 4, value_range=UNIT, area_range=(0.5, 0.5), aspect_ratio_range=(1, 1)
    )
    drawn = draw(layer, (8, 8), seeds(400))
    assert set(drawn["box_height"]) == {6}
    assert set(drawn["top"]) == set(drawn["left"]) == {0, 1, 2}


@pytest.mark.parametrize("shape", [(300, 900), (200, 1000), (128, 1280), (1280, 128)])
def test_no_elongated_picture_is_distorted(seeds, shape):
    """Of 1,000 pixels by 200 most boxes are rejected; what is taken instead keeps its aspect."""
    drawn = draw(RandomResizedCrop(224, 224, value_range=UNIT), shape, seeds(4000))
    height, width = drawn["box_height"], drawn["box_width"]
    assert np.all((width + 0.5) / (height - 0.5) >= 3 / 4)
    assert np.all((width - 0.5) / (height + 0.5) <= 4 / 3)
    assert np.all(height * width >= 0.08 * shape[0] * shape[1] - height - width)
    largest = (height + 1) * (width + 1) > min(shape) ** 2 * 4 / 3
    assert 0 < largest.mean() < 0.06


@pytest.mark.parametrize(
    ("shape", "box"), [((10, 40), (10, 13)), ((40, 10), (13, 10)), ((1, 9), (1, 1))]
)
def test_largest_box_of_an_allowed_aspect_when_none_fits(seeds, shape, box):
    layer = RandomResizedCrop(16, 16, value_range=UNIT, area_range=(0.9, 1.0))
    drawn = draw(layer, shape, seeds(200))
    assert set(zip(drawn["box_height"], drawn["box_width"])) == {box}
    for offset, room in ("top", shape[0] - box[0]), ("left", shape[1] - box[1]):
        assert set(drawn[offset]) == set(range(room + 1))
