"""Assembled views: what is in them, and on what they depend."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import augmentation, stateless
from simclr_tf.augmentation import SimCLRViews, SupervisedView, ViewPipeline

ATOL = 2e-5


def test_views_are_the_layers_in_the_papers_order(images, seeds):
    given, given_seeds = images(12, 40, 30), tf.constant(seeds(12))
    views = SimCLRViews(24, color_jitter_strength=0.5)(given, given_seeds)
    assert views.shape == [12, 2, 24, 24, 3]
    assert views.dtype == tf.float32
    unit = (0, 1)
    layers = [
        augmentation.RandomResizedCrop(24, 24, value_range=unit),
        augmentation.RandomHorizontalFlip(),
        augmentation.RandomColorJitter(unit, strength=0.5),
        augmentation.RandomGrayscale(),
        augmentation.RandomGaussianBlur(),
    ]
    for view in range(2):
        batch = {"images": given / 255, "seeds": stateless.fold_in(given_seeds, view)}
        for layer in layers:
            batch = layer(batch)
        np.testing.assert_allclose(views[:, view], batch["images"], atol=ATOL)


def test_views_stay_in_the_unit_range(images, seeds):
    views = SimCLRViews(32)(images(16, 32, 32), seeds(16)).numpy()
    assert views.min() >= 0
    assert views.max() <= 1


def test_both_views_differ_and_so_do_images(images, seeds):
    same = np.repeat(images(1, 32, 32), 6, axis=0)
    views = SimCLRViews(32)(same, seeds(6)).numpy().reshape([12, -1])
    distances = np.abs(views[:, np.newaxis] - views).mean(axis=-1)
    assert distances[~np.eye(12, dtype=bool)].min() > 0.01


def test_both_views_are_drawn_independently(seeds):
    """Flips tell: of a dark left and a bright right half, each view shows one or the other."""
    given = np.zeros([3000, 4, 4, 3], np.uint8)
    given[:, :, 2:] = 255
    views = SimCLRViews(4, color_jitter_strength=0, use_blur=False)(given, seeds(3000)).numpy()
    means = views.mean(axis=(2, 4))
    flipped = (means[..., 0] - means[..., -1] > 0).astype(float)
    assert abs(np.corrcoef(flipped.T)[0, 1]) < 4 / np.sqrt(3000)


@pytest.mark.parametrize(("strength", "use_blur"), [(0, False), (0, True), (1, False)])
def test_switches_drop_layers(strength, use_blur):
    layers = SimCLRViews(32, color_jitter_strength=strength, use_blur=use_blur).distortions
    names = [type(layer).__name__ for layer in layers]
    color = ["RandomColorJitter", "RandomGrayscale"] if strength else []
    blur = ["RandomGaussianBlur"] if use_blur else []
    assert names == [*color, *blur]


def test_value_range_only_scales(images, seeds):
    expected = SimCLRViews(24)(images(6, 32, 32), seeds(6))
    given = images(6, 32, 32).astype(np.float32) / 127.5 - 1
    output = SimCLRViews(24, value_range=(-1, 1))(given, seeds(6))
    np.testing.assert_allclose(output, expected, atol=ATOL)


def test_batches_order_and_compilation_do_not_matter(images, seeds):
    views, given, given_seeds = SimCLRViews(24), images(6, 32, 28), seeds(6)
    eager = views(given, given_seeds).numpy()
    reverse = views(given[::-1], given_seeds[::-1]).numpy()[::-1]
    np.testing.assert_allclose(reverse, eager, atol=ATOL)
    compiled = tf.function(views, jit_compile=True)
    output = compiled(tf.constant(given), tf.constant(given_seeds))
    np.testing.assert_allclose(output, eager, atol=ATOL)
    for batch_size in (1, 4):
        dataset = tf.data.Dataset.from_tensor_slices((given, given_seeds)).batch(batch_size)
        dataset = dataset.map(views, num_parallel_calls=2)
        assert dataset.element_spec.shape[1:] == [2, 24, 24, 3]
        output = np.concatenate(list(dataset.as_numpy_iterator()))
        np.testing.assert_allclose(output, eager, atol=ATOL)


def test_supervised_view_is_the_first_view_without_color(images, seeds):
    view = SupervisedView(24)(images(6, 32, 28), seeds(6))
    assert view.shape == [6, 24, 24, 3]
    pair = SimCLRViews(24, color_jitter_strength=0, use_blur=False)(images(6, 32, 28), seeds(6))
    np.testing.assert_allclose(view, pair[:, 0], atol=1e-6)


@pytest.mark.parametrize("shape", [(50, 31), (24, 80), (16, 16)])
def test_one_image_equals_a_batch(images, seeds, shape):
    """Another way to resize, and the same picture: by matrices, and by a part of the image."""
    given, given_seeds, views = images(8, *shape), tf.constant(seeds(8)), SimCLRViews(24)
    expected = views(given, given_seeds)
    signature = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)]
    of_one = tf.function(views.of_one, input_signature=signature)
    for index in range(8):
        output = of_one(given[index], given_seeds[index])
        assert output.shape == [2, 24, 24, 3]
        np.testing.assert_allclose(output, expected[index], atol=ATOL)


@pytest.mark.parametrize("make", [SimCLRViews, SupervisedView])
def test_cropped_here_and_finished_there(images, seeds, make):
    """What a host ships to an accelerator is rounded to bytes, and nothing else differs."""
    given, given_seeds, views = images(16, 50, 40), tf.constant(seeds(16)), make(24)
    crops = tf.stack([views.crop_one(tf.constant(i), s) for i, s in zip(given, given_seeds)])
    assert crops.dtype == tf.uint8
    output, expected = views.from_crops(crops, given_seeds), views(given, given_seeds)
    assert output.shape == expected.shape
    # Jitter may stretch half a step of rounding by its factors.
    np.testing.assert_allclose(output, expected, atol=4 / 255)
    assert np.abs(output - expected).mean() < 0.5 / 255


@pytest.mark.parametrize("on_device", [False, True], ids=["host", "device"])
def test_host_and_step_make_the_views_together(images, seeds, on_device):
    given, given_seeds = images(6, 50, 40), tf.constant(seeds(6))
    views = SimCLRViews(24, color_jitter_strength=0, use_blur=False)
    pipeline, expected = ViewPipeline(views, on_device=on_device), views(given, given_seeds)
    batch = pipeline.prepare(tf.constant(given), given_seeds)
    assert set(batch) == ({"images", "seeds"} if on_device else {"views"})
    np.testing.assert_allclose(views.finish(batch), expected, atol=ATOL)
    one_by_one = [pipeline.prepare_one(tf.constant(i), s) for i, s in zip(given, given_seeds)]
    batch = {name: tf.stack([one[name] for one in one_by_one]) for name in one_by_one[0]}
    assert set(batch) == ({"crops", "seeds"} if on_device else {"views"})
    atol = 0.5 / 255 + ATOL if on_device else ATOL  # crops are shipped as bytes
    np.testing.assert_allclose(views.finish(batch), expected, atol=atol)


@pytest.mark.parametrize(
    ("make", "on_device", "batched", "one_by_one"),
    [
        (SimCLRViews, False, (64, 64), (64, 65)),
        (SupervisedView, False, (64, 30), (96, 96)),
        (SimCLRViews, True, (50, 100), (50, 101)),  # two crops of 50 pixels
        (SupervisedView, True, (50, 50), (50, 51)),
    ],
)
def test_which_images_of_one_size_make_batches(make, on_device, batched, one_by_one):
    pipeline = ViewPipeline(make(50), on_device=on_device)
    assert pipeline.in_batches(*batched)
    assert not pipeline.in_batches(*one_by_one)


@pytest.mark.parametrize("make", [SimCLRViews, SupervisedView])
def test_a_few_are_finished_without_compiling(images, seeds, make, monkeypatch):
    given, given_seeds, views = images(3, 30, 40), tf.constant(seeds(3)), make(24)
    crops = tf.stack([views.crop_one(tf.constant(i), s) for i, s in zip(given, given_seeds)])
    ways = [{"images": given, "seeds": seeds(3)}, {"crops": crops, "seeds": seeds(3)}]
    expected = [views.finish(batch) for batch in ways]
    for name in ("_compiled_batch", "_compiled_crops", "_compiled_each"):
        monkeypatch.delattr(views, name)
    for batch, finished in zip(ways, expected):
        np.testing.assert_allclose(views.finish_few(batch), finished, atol=ATOL)
    np.testing.assert_array_equal(views.finish_few({"views": expected[0].numpy()}), expected[0])


CONFIGURED = {
    "plain": SimCLRViews(8),
    "all": SimCLRViews(9, color_jitter_strength=0.5, use_blur=False, value_range=(-1, 1)),
    "numpy": SimCLRViews(9, color_jitter_strength=np.float32(0.5)),
    "large": SimCLRViews(8, min_crop_area=0.5),
    "supervised": SupervisedView(8, value_range=(0, 1)),
}


@pytest.mark.parametrize("name", CONFIGURED)
def test_config_round_trip(images, seeds, name):
    """As a `.keras` file of a model that holds views needs it: through JSON, by registered name."""
    views = CONFIGURED[name]
    stored = json.dumps(tf.keras.utils.serialize_keras_object(views))
    copy = tf.keras.utils.deserialize_keras_object(json.loads(stored))
    assert type(copy) is type(views)
    assert copy.get_config() == views.get_config()
    given = images(4, 12, 10) / 255
    np.testing.assert_array_equal(copy(given, seeds(4)), views(given, seeds(4)))


@pytest.mark.parametrize("smallest", [0.08, 0.2, 0.6])
def test_how_much_of_an_image_a_view_shows(seeds, smallest):
    """Measured on a slope, of which a view shows so much."""
    slope = np.stack(np.broadcast_arrays(np.arange(96)[:, None], np.arange(96), 0.0), axis=-1)
    views = SimCLRViews(
        16, min_crop_area=smallest, color_jitter_strength=0, use_blur=False, value_range=(0, 96)
    )
    given = np.repeat(slope[None].astype(np.float32), 1000, axis=0)
    shown = views(given, tf.constant(seeds(1000))).numpy().reshape(2000, 256, 3)
    # The centers of the outer pixels are 15 of 16 sides apart.
    height, width, _ = np.moveaxis(np.ptp(shown, axis=1) * 16 / 15, -1, 0)
    area = height * width
    assert smallest * 0.94 < area.min() < smallest * 1.15
    rng = np.random.default_rng(3)
    drawn, aspects = rng.uniform(smallest, 1, 20_000), rng.uniform(3 / 4, 4 / 3, 20_000)
    fits = (drawn * aspects <= 1) & (drawn / aspects <= 1)
    assert abs(area.mean() - drawn[fits].mean()) < 0.02


@pytest.mark.parametrize("area", [0, -0.1, 1.1, np.nan, None])
def test_areas_out_of_bounds_are_refused(area):
    with pytest.raises(ValueError, match="^min_crop_area=.* must be above 0 and at most 1"):
        SimCLRViews(8, min_crop_area=area)


@pytest.mark.parametrize("strength", [-0.1, 2.6, np.nan])
def test_strengths_out_of_bounds_are_refused(strength):
    with pytest.raises(ValueError, match="color_jitter_strength must be 0 to 2.5, got"):
        SimCLRViews(8, color_jitter_strength=strength)
    with pytest.raises(ValueError, match="^strength must be 0 to 2.5, got"):
        augmentation.RandomColorJitter((0, 1), strength=strength)


@pytest.mark.parametrize("make", [SimCLRViews, SupervisedView])
@pytest.mark.parametrize("shape", [(1, 1), (40, 30)])
def test_views_of_one_pixel(images, seeds, make, shape):
    given = np.repeat(images(6, 2, 2)[:, :1, :1], shape[0], axis=1).repeat(shape[1], axis=2)
    given_seeds, views = tf.constant(seeds(6)), make(1)
    output = views(given, given_seeds)
    assert output.shape == ([6, 2, 1, 1, 3] if make is SimCLRViews else [6, 1, 1, 3])
    for index in range(6):
        one = views.of_one(tf.constant(given[index]), given_seeds[index])
        np.testing.assert_allclose(one, output[index], atol=ATOL)
    if make is SupervisedView:  # of images of one color
        np.testing.assert_allclose(output, given[:, :1, :1] / 255, atol=ATOL)


def test_both_sizes_compile_without_a_callback_to_the_host(images, seeds):
    for size, shape in ((32, (32, 32)), (224, (375, 500))):
        views = tf.function(SimCLRViews(size).__call__, jit_compile=True)
        given = tf.constant(images(2, *shape)), tf.constant(seeds(2))
        program = views.experimental_get_compiler_ir(*given)(stage="hlo")
        assert "infeed" not in program
        assert "custom-call" not in program
        assert views(*given).shape == [2, 2, size, size, 3]
