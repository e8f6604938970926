"""SimCLR as a notebook uses it: around any encoder, on a plain tf.data, without flags or labels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import LARS, Architecture, ProjectionHead, SimCLR, SimCLRViews, WarmUpCosine, compat
from simclr_tf.data import position_seeds, preprocess_for_eval
from simclr_tf.losses import nt_xent
from tests.documentation import ROOT

SIZE, BATCH, TEMPERATURE, RATE, SEED = 32, 6, 0.5, 0.25, 3
# Without jitter and blur, which are compiled for each model.
VIEWS = SimCLRViews(SIZE, color_jitter_strength=0, use_blur=False)
TINY = Architecture(
    resnet_depth=18, width_multiplier=1 / 16, cifar_stem=True, num_proj_layers=2, proj_out_dim=8
)


def mobilenet(pooling: str | None) -> tf.keras.Model:
    return tf.keras.applications.MobileNetV2(
        (SIZE, SIZE, 3), alpha=0.35, include_top=False, weights=None, pooling=pooling
    )


def backbone() -> tf.keras.Model:
    """ResNet18V2Backbone is this class with other numbers, and asks a server for them."""
    return compat.keras_cv().models.ResNetV2Backbone(
        stackwise_filters=[8, 16],
        stackwise_blocks=[2, 2],
        stackwise_strides=[1, 2],
        include_rescaling=False,
    )


def cnn() -> tf.keras.Model:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Rescaling(2, offset=-1),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
        ]
    )


ENCODERS: dict[str, Callable[[], tf.keras.Model | Architecture]] = {
    "architecture": lambda: TINY,
    "mobilenet": lambda: mobilenet(None),
    "mobilenet_pooled": lambda: mobilenet("avg"),
    "keras_cv": backbone,
    "cnn": cnn,
}


def make(encoder: str, **arguments) -> SimCLR:
    tf.keras.utils.set_random_seed(0)
    head = None if encoder == "architecture" else ProjectionHead(num_layers=2, out_dim=8)
    settings = {"views": VIEWS, "temperature": TEMPERATURE, "seed": SEED, **arguments}
    return SimCLR(ENCODERS[encoder](), head, **settings)


def dataset(images: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(images).batch(BATCH)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 40, 36, 3), np.uint8)


def loss_of(model: SimCLR, images: np.ndarray, *, seed: int, step: int, training: bool):
    """The loss of one step, put together by hand."""
    seeds = position_seeds(seed, step * 2**32 + tf.range(len(images), dtype=tf.int64))
    views = VIEWS(images, seeds)
    hidden = model.encoder(tf.concat([views[:, 0], views[:, 1]], 0), training=training)
    if hidden.shape.rank == 4:
        hidden = tf.reduce_mean(hidden, [1, 2])
    projections = model.projection_head(hidden, training=training)[-1]
    return nt_xent(projections, temperature=TEMPERATURE)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_step_is_the_loss_of_the_two_views(encoder: str) -> None:
    images = pictures(2 * BATCH)
    model = make(encoder)
    model.compile(tf.keras.optimizers.SGD(RATE), run_eagerly=True)
    model.fit(dataset(images[:BATCH]), verbose=0)
    start = model.get_weights()
    with tf.GradientTape() as tape:  # of the second step
        expected = loss_of(model, images[BATCH:], seed=SEED, step=1, training=True)
    gradients = tape.gradient(expected.loss, model.trainable_variables)
    moved = [v.numpy() - RATE * g.numpy() for v, g in zip(model.trainable_variables, gradients)]
    model.set_weights(start)  # the statistics of batch normalization
    history = model.fit(dataset(images[BATCH:]), verbose=0).history
    assert history["contrast_loss"] == [pytest.approx(float(expected.loss), rel=1e-5)]
    assert history["contrast_acc"] == [pytest.approx(float(expected.accuracy))]
    assert max(float(tf.norm(g)) for g in gradients) > 1e-2
    for variable, value in zip(model.trainable_variables, moved):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6)


# keras-cv's backbones look at each of their attributes.
@pytest.mark.filterwarnings("ignore:.*will be removed in a future version:UserWarning")
@pytest.mark.parametrize("encoder", sorted(ENCODERS.keys() - {"mobilenet_pooled"}))
def test_evaluated_saved_and_loaded_it_goes_on(encoder: str, tmp_path: Path) -> None:
    images = pictures(2 * BATCH - 1)  # the last batch is smaller
    model = make(encoder, weight_decay=1e-3)
    model.compile(LARS(WarmUpCosine(0.5, 1, 9), weight_decay=1e-3), run_eagerly=True)
    model.fit(dataset(images), verbose=0)
    measured = model.evaluate(dataset(images), verbose=0, return_dict=True)
    parts = [
        loss_of(model, images[i : i + BATCH], seed=0, step=step, training=False)
        for step, i in enumerate((0, BATCH))
    ]
    expected = np.average([float(p.loss) for p in parts], weights=[BATCH, BATCH - 1])
    assert measured["contrast_loss"] == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(dataset(images), verbose=0, return_dict=True) == measured

    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    for before, after in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert loaded.evaluate(dataset(images), verbose=0, return_dict=True) == measured
    features = model.predict(dataset(images), verbose=0)
    whole = model.encoder(preprocess_for_eval(tf.constant(images), SIZE), training=False)
    whole = tf.reduce_mean(whole, [1, 2]) if whole.shape.rank == 4 else whole
    assert len(np.unique(features, axis=0)) == len(images)
    np.testing.assert_allclose(features, whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(loaded.predict(dataset(images), verbose=0), features)

    histories = [m.fit(dataset(images), verbose=0).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    assert loaded.optimizer.iterations == 4
    for before, after in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.smoke
def test_it_learns_to_tell_digits_apart(digits) -> None:
    images, _ = digits
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    encoder = tf.keras.Sequential()
    for strides, channels in ((2, 16), (2, 32), (1, 64)):
        encoder.add(layers.Conv2D(channels, 3, strides, padding="same", activation="relu"))
        encoder.add(layers.BatchNormalization(momentum=0.9))
    views = SimCLRViews(16, color_jitter_strength=0, use_blur=False)
    model = SimCLR(encoder, ProjectionHead(num_layers=2, out_dim=32), views=views, temperature=0.2)
    model.compile(tf.keras.optimizers.Adam(3e-3))
    train = tf.data.Dataset.from_tensor_slices(images[:1024]).shuffle(1024, seed=0)
    test = tf.data.Dataset.from_tensor_slices(images[1024:1280]).batch(64)
    before = model.evaluate(test, verbose=0, return_dict=True)
    losses = model.fit(train.batch(64), epochs=4, verbose=0).history["contrast_loss"]
    after = model.evaluate(test, verbose=0, return_dict=True)
    assert losses[-1] < losses[0] - 0.5
    assert after["contrast_loss"] < before["contrast_loss"] - 0.3
    assert before["contrast_acc"] < 0.06, "one in 64, or some more"
    assert after["contrast_acc"] > 0.1


def test_a_new_process_loads_what_was_saved_in_bfloat16(tmp_path: Path) -> None:
    images = pictures(4)
    np.save(tmp_path / "images.npy", images)
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = make("architecture")
        model.compile(LARS(0.1))
        features = model.predict(images, verbose=0)
        model.save(tmp_path / "model.keras")  # before any step
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert model.encoder.dtype_policy.name == "mixed_bfloat16"
    code = f"""
import numpy as np, tensorflow as tf
import simclr_tf
model = tf.keras.models.load_model("{tmp_path}/model.keras")
np.save("{tmp_path}/features.npy", model.predict(np.load("{tmp_path}/images.npy"), verbose=0))
assert model.encoder(tf.zeros([1, 32, 32, 3])).dtype == tf.bfloat16
assert tf.keras.mixed_precision.global_policy().name == "float32"
"""
    fresh = {name: v for name, v in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=fresh, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), features)


def test_views_follow_from_seed_step_and_place_alone() -> None:
    """The loss of a step tells which views were seen; the network stands still."""
    images = np.repeat(pictures(1), 2 * BATCH, axis=0)

    def losses(seed: int, steps: int) -> list[float]:
        model = make("cnn", seed=seed)
        model.compile(tf.keras.optimizers.SGD(0.0), run_eagerly=True)
        first = model.fit(dataset(images[:BATCH]), epochs=steps, verbose=0).history
        return first["contrast_loss"]

    assert losses(0, 3) == losses(0, 3)
    assert len({*losses(0, 3), *losses(1, 3)}) == 6
