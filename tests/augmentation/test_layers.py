"""What every augmentation layer promises, checked on each of them."""

from __future__ import annotations

import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import augmentation

BYTE = (0, 255)
LAYERS = {
    "crop": lambda **kw: augmentation.RandomResizedCrop(12, 8, value_range=BYTE, **kw),
    "flip": lambda **kw: augmentation.RandomHorizontalFlip(0.4, **kw),
    "jitter": lambda **kw: augmentation.RandomColorJitter(BYTE, 0.7, 0.6, **kw),
    "grayscale": lambda **kw: augmentation.RandomGrayscale(0.3, **kw),
    "solarize": lambda **kw: augmentation.RandomSolarize(BYTE, 0.4, threshold=0.6, **kw),
    "blur": lambda **kw: augmentation.RandomGaussianBlur(0.6, sigma_range=(0.2, 1.5), **kw),
}
IDENTITIES = [
    augmentation.RandomResizedCrop(
        22, 16, value_range=BYTE, area_range=(1, 1), aspect_ratio_range=(1, 1)
    ),
    augmentation.RandomHorizontalFlip(0),
    augmentation.RandomColorJitter(BYTE, strength=0),
    augmentation.RandomColorJitter(BYTE, probability=0),
    augmentation.RandomGrayscale(0),
    augmentation.RandomSolarize(BYTE, 0),
    augmentation.RandomGaussianBlur(0),
]
CROP_ATOL = 2e-3  # of 255: single precision, in whatever order a compiler adds


@pytest.fixture(params=LAYERS)
def make_layer(request):
    return LAYERS[request.param]


def call(layer, images, seeds):
    return layer({"images": images, "seeds": seeds})["images"]


@pytest.mark.parametrize("layer", IDENTITIES, ids=lambda layer: layer.name)
def test_identity_setting_returns_the_input(layer, images, seeds):
    given = images(6, 22, 16)
    np.testing.assert_allclose(call(layer, given, seeds(6)), given, atol=1e-4)


def test_layer_changes_some_images(make_layer, images, seeds):
    output = call(make_layer(), images(16, 22, 16), seeds(16))
    assert output.dtype == tf.float32
    if output.shape[1:] == [22, 16, 3]:
        changed = np.abs(output.numpy() - images(16, 22, 16)).max(axis=(1, 2, 3)) > 1
        assert 0 < changed.sum() < 16


def test_batch_order_and_size_do_not_matter(make_layer, images, seeds):
    layer, given, given_seeds = make_layer(), images(9, 22, 16), seeds(9)
    whole = call(layer, given, given_seeds).numpy()
    order = np.random.default_rng(2).permutation(9)
    np.testing.assert_allclose(
        call(layer, given[order], given_seeds[order]), whole[order], atol=CROP_ATOL
    )
    for index in (0, 8):
        alone = call(layer, given[index], given_seeds[index])
        np.testing.assert_allclose(alone, whole[index], atol=CROP_ATOL)


def test_graph_xla_and_tf_data_equal_eager(make_layer, images, seeds):
    layer, given, given_seeds = make_layer(), images(8, 22, 16), seeds(8)
    eager = call(layer, given, given_seeds)
    for jit_compile in (False, True):
        compiled = tf.function(lambda x, s: call(layer, x, s), jit_compile=jit_compile)
        output = compiled(tf.constant(given), tf.constant(given_seeds))
        np.testing.assert_allclose(output, eager, atol=CROP_ATOL)
    dataset = tf.data.Dataset.from_tensor_slices({"images": given, "seeds": given_seeds})
    dataset = dataset.batch(4).map(layer, num_parallel_calls=2)
    output = np.concatenate([batch["images"] for batch in dataset.as_numpy_iterator()])
    np.testing.assert_allclose(output, eager, atol=CROP_ATOL)


def test_unknown_image_size(make_layer, images, seeds):
    layer, given, given_seeds = make_layer(), images(4, 22, 16), seeds(4)
    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([None, 2], tf.int32)]
    compiled = tf.function(lambda x, s: call(layer, x, s), input_signature=signature)
    expected = call(layer, given, given_seeds)
    np.testing.assert_allclose(compiled(given, given_seeds), expected, atol=CROP_ATOL)


def test_integers_and_floats_are_the_same(make_layer, images, seeds):
    layer, given, given_seeds = make_layer(), images(4, 22, 16), seeds(4)
    expected = call(layer, given, given_seeds)
    np.testing.assert_array_equal(call(layer, given.astype(np.float64), given_seeds), expected)


def test_other_entries_pass_unchanged(make_layer, images, seeds):
    labels = np.array([2**24 + 1, 5], np.int64)  # not a float32
    batch = {"images": images(2, 22, 16), "seeds": seeds(2), "labels": labels, "id": [b"a", b"b"]}
    output = make_layer()(batch)
    assert set(output) == set(batch)
    np.testing.assert_array_equal(output["labels"], labels)
    np.testing.assert_array_equal(output["seeds"], seeds(2))
    single = make_layer()({"images": images(2, 22, 16)[0], "labels": np.int64(3)})
    assert single["images"].shape.rank == 3
    assert int(single["labels"]) == 3


def test_config_round_trip(make_layer, images, seeds):
    layer = make_layer(seed=7, name="mine")
    copy = tf.keras.layers.deserialize(tf.keras.layers.serialize(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    given, given_seeds = images(8, 22, 16), seeds(8)
    np.testing.assert_array_equal(call(copy, given, given_seeds), call(layer, given, given_seeds))


@pytest.mark.parametrize("seed", [0, 5])
def test_constructor_seed_reproduces_without_seeds(make_layer, images, seed):
    given = tf.constant(images(8, 22, 16))
    first, second = make_layer(seed=seed), make_layer(seed=seed)
    sequence = [first(given).numpy() for _ in range(2)]
    np.testing.assert_array_equal(second(given), sequence[0])
    np.testing.assert_array_equal(second(given), sequence[1])
    assert np.abs(sequence[0] - sequence[1]).max() > 1


def test_unseeded_layers_differ(make_layer, images):
    given = tf.constant(images(16, 22, 16))
    assert np.abs(make_layer()(given) - make_layer()(given)).max() > 1


def test_constructor_seeds_tell_layers_of_one_class_apart(seeds):
    given_seeds = tf.constant(seeds(4000))
    applied = [
        augmentation.RandomHorizontalFlip(seed=seed).draw(given_seeds)["apply"]
        for seed in (None, 1, 2)
    ]
    correlation = np.corrcoef(np.stack(applied).astype(float))
    assert np.abs(correlation - np.eye(3)).max() < 4 / np.sqrt(4000)


def test_equal_seeds_are_independent_in_different_layers(seeds):
    given_seeds = tf.constant(seeds(4000))
    applied = [
        LAYERS[name]().draw(given_seeds)
        for name in ("flip", "jitter", "grayscale", "solarize", "blur")
    ]
    correlation = np.corrcoef(np.stack([drawn["apply"] for drawn in applied]).astype(float))
    assert np.abs(correlation - np.eye(5)).max() < 4 / np.sqrt(4000)


def test_layers_compose_in_a_keras_cv_augmenter(images, seeds):
    layers = [make() for make in LAYERS.values()]
    augmenter = keras_cv.layers.Augmenter([*layers, keras_cv.layers.Rescaling(1 / 255)])
    batch = {"images": tf.constant(images(4, 22, 16)), "seeds": tf.constant(seeds(4))}
    output = augmenter(batch)["images"]
    expected = tf.cast(batch["images"], tf.float32)
    for layer in layers:
        expected = call(layer, expected, batch["seeds"])
    np.testing.assert_allclose(output, expected / 255, atol=1e-6)


def test_float32_whatever_the_global_policy(make_layer, images, seeds):
    expected = call(make_layer(), images(3, 22, 16), seeds(3))
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        output = call(make_layer(), images(3, 22, 16), seeds(3))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_rounds_the_result_and_nothing_before(make_layer, images, seeds, dtype):
    expected = tf.cast(call(make_layer(), images(3, 22, 16), seeds(3)), dtype)
    output = call(make_layer(dtype=dtype), images(3, 22, 16), seeds(3))
    assert output.dtype == dtype
    np.testing.assert_array_equal(tf.cast(output, "float32"), tf.cast(expected, "float32"))


def test_boxes_are_refused_where_pixels_move(images, seeds):
    masks = np.zeros([2, 22, 16, 1], np.float32)
    batch = {"images": images(2, 22, 16), "seeds": seeds(2), "segmentation_masks": masks}
    for name in ("crop", "flip"):
        with pytest.raises(NotImplementedError, match="segmentation_masks"):
            LAYERS[name]()(batch)
    np.testing.assert_array_equal(LAYERS["blur"]()(batch)["segmentation_masks"], masks)


@pytest.mark.parametrize(
    "make",
    [
        lambda: augmentation.RandomResizedCrop(0, 8, value_range=BYTE),
        lambda: augmentation.RandomResizedCrop(8, 8, value_range=(1, 1)),
        lambda: augmentation.RandomResizedCrop(8, 8, value_range=BYTE, area_range=(0, 1)),
        lambda: augmentation.RandomResizedCrop(8, 8, value_range=BYTE, area_range=(0.5, 0.4)),
        lambda: augmentation.RandomResizedCrop(8, 8, value_range=BYTE, aspect_ratio_range=(0, 1)),
        lambda: augmentation.RandomResizedCrop(8, 8, value_range=BYTE, attempts=0),
        lambda: augmentation.RandomHorizontalFlip(1.1),
        lambda: augmentation.RandomColorJitter(BYTE, strength=-1),
        lambda: augmentation.RandomColorJitter((255, 0)),
        lambda: augmentation.RandomGrayscale(-0.1),
        lambda: augmentation.RandomSolarize(BYTE, threshold=1.1),
        lambda: augmentation.RandomGaussianBlur(sigma_range=(0, 1)),
        lambda: augmentation.RandomGrayscale()(tf.zeros([2, 4, 4, 1])),
        lambda: augmentation.RandomColorJitter(BYTE)(tf.zeros([2, 4, 4, 1])),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"must|expected RGB"):
        make()
