"""A batch in parts has the gradient of the whole batch; parts are what batch normalization sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import LARS, ProjectionHead, SimCLR, SupervisedHead
from simclr_tf.checkpoints import variables_by_path

RNG = np.random.default_rng(0)
PAIRS, PARTS, RATE = 12, 3, 0.5
BATCH = {
    "views": RNG.random((PAIRS, 2, 6, 6, 3), np.float32),
    "label": np.array([0, 1, -1, 2, 1, -1, 0, 2, 2, 1, -1, 0]),
}
BROKEN = {**BATCH, "views": BATCH["views"].copy()}
BROKEN["views"][7, 1, 2, 3, 1] = np.inf


def make(pairs: int = PAIRS // PARTS, *, normalized: bool = True, **settings: Any) -> SimCLR:
    """Returns a small network with a probe."""
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    encoder = tf.keras.Sequential(
        [
            layers.Conv2D(5, 3, strides=2, use_bias=False),
            layers.BatchNormalization(momentum=0.9, trainable=normalized),
            layers.ReLU(),
        ]
    )
    head = ProjectionHead(num_layers=2, out_dim=4)
    settings = {"temperature": 0.3, "weight_decay": 1e-3, **settings}
    model = SimCLR(encoder, head, SupervisedHead(3), micro_batch_size=pairs, **settings)
    if not normalized:
        for layer in head.layers:
            layer.norm.trainable = False
    return model


def take_step(
    model: SimCLR,
    batch: dict[str, Any] = BATCH,
    *,
    jit_compile: bool = False,
    skip_nonfinite: bool = False,
) -> dict[str, float]:
    model.compile(tf.keras.optimizers.SGD(RATE), skip_nonfinite=skip_nonfinite)
    step = tf.function(model.train_step, jit_compile=jit_compile)
    results = step({name: tf.constant(part) for name, part in batch.items()})
    return {name: float(value) for name, value in results.items()}


def values(model: SimCLR) -> dict[str, np.ndarray]:
    return {path: v.numpy() for path, v in variables_by_path(model.parts).items()}


def moved(model: SimCLR, start: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {path: value - start[path] for path, value in values(model).items()}


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray], rtol: float) -> None:
    """Compares arrays by the largest number of each."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(second[name], value, rtol=0, atol=rtol * scale, err_msg=name)


def compare_with_whole(
    batch: dict[str, Any] = BATCH, *, jit_compile: bool = False, **settings: Any
) -> dict[str, np.ndarray]:
    """Takes a step at once and in parts; returns what the first has moved."""
    whole, parts = make(0, normalized=False, **settings), make(normalized=False, **settings)
    start = values(whole)
    expected, found = take_step(whole, batch), take_step(parts, batch, jit_compile=jit_compile)
    assert found == pytest.approx(expected, rel=1e-5)
    movement = moved(whole, start)
    assert_same(movement, moved(parts, start), 1e-5)
    return movement


@pytest.mark.smoke
def test_gradient_is_that_of_the_whole_batch() -> None:
    """Of every weight, the probe's too, where nothing but the loss compares images."""
    movement = compare_with_whole()
    learned = make(normalized=False).trainable_variables
    assert len(learned) == sum(change.any() for change in movement.values()) == 5


def test_also_where_parts_differ_in_size() -> None:
    compare_with_whole({name: part[:11] for name, part in BATCH.items()})


def test_also_compiled() -> None:
    compare_with_whole(jit_compile=True)


def test_also_with_other_losses() -> None:
    """Of which one takes labels, that each part has a few of."""
    movements = [compare_with_whole(contrastive_loss=loss) for loss in ("nt_xent", "dcl", "supcon")]
    kernel = max(movements[0], key=lambda name: movements[0][name].size)
    for other in movements[1:]:
        difference = np.abs(other[kernel] - movements[0][kernel]).max()
        assert difference > 0.01 * np.abs(movements[0][kernel]).max()


def by_one_tape(model: SimCLR) -> tuple[list[tf.Tensor], list[np.ndarray]]:
    """Encodes part by part under one tape, and compares all projections in one matrix.

    Returns:
      The gradients, and the mean of what each part makes of what is not trained.
    """
    views, labels = tf.constant(BATCH["views"]), BATCH["label"]
    state = [v for v in variables_by_path(model.parts).values() if not v.trainable]
    before = [v.numpy() for v in state]
    rows = [np.arange(part, PAIRS, PARTS) for part in range(PARTS)]
    cross_entropy = tf.keras.losses.sparse_categorical_crossentropy
    projections: dict[tuple[int, int], tf.Tensor] = {}
    after, losses = [], []
    with tf.GradientTape() as tape:
        for part in range(PARTS):
            own = [(row, 0) for row in rows[part]] + [(row, 1) for row in rows[part - 1]]
            images = tf.stack([views[row, view] for row, view in own])
            features = tf.reduce_mean(model.encoder(images, training=True), [1, 2])
            hidden = model.projection_head(features, training=True)
            projections.update(zip(own, tf.unstack(tf.math.l2_normalize(hidden[-1], axis=1))))
            after.append([v.numpy() for v in state])
            for v, value in zip(state, before):
                v.assign(value)
            known = np.array([labels[row] for row, _ in own])
            logits = model.supervised_head(tf.stop_gradient(features))[known >= 0]
            losses.append(cross_entropy(known[known >= 0], logits, from_logits=True))
        z = tf.stack([projections[row, view] for view in (0, 1) for row in range(PAIRS)])
        logits = z @ tf.transpose(z) / 0.3 - 1e9 * tf.eye(2 * PAIRS)
        partners = np.roll(np.arange(2 * PAIRS), PAIRS)
        losses = [2 * cross_entropy(partners, logits, from_logits=True), tf.concat(losses, 0)]
        kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
        decay = 1e-3 * tf.add_n([tf.nn.l2_loss(v) for v in kernels])
        loss = tf.add_n([*map(tf.reduce_mean, losses), decay])
    gradients = tape.gradient(loss, model.trainable_variables)
    return gradients, [np.mean(found, axis=0) for found in zip(*after)]


@pytest.mark.smoke
def test_batch_normalization_sees_parts() -> None:
    """Gradients through it, and moving statistics, which move once a step."""
    model = make()
    gradients, means = by_one_tape(model)
    variables = variables_by_path(model.parts)
    trained = [id(v) for v in model.trainable_variables]
    steps = {
        path: -RATE * gradients[trained.index(id(v))].numpy()
        for path, v in variables.items()
        if v.trainable
    }
    state = dict(zip([path for path, v in variables.items() if not v.trainable], means))
    start = values(model)
    take_step(model)
    movement = moved(model, start)
    assert len(steps) + len(state) == len(movement) == 16
    assert_same(steps, {path: movement[path] for path in steps}, 1e-5)
    expected = {path: mean - start[path] for path, mean in state.items()}
    assert_same(expected, {path: movement[path] for path in state}, 1e-5)
    assert len(state) == 6
    assert all(change.any() for change in expected.values())


class Watch(tf.keras.layers.Layer):
    """Notes which images it sees together."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def call(self, images: tf.Tensor) -> tf.Tensor:
        if images.shape[0] > 1:
            self.seen.append(images.numpy()[:, 0, 0, :2].round().astype(int))
        return images


@pytest.mark.parametrize(("pairs", "parts"), [(12, 3), (11, 3), (4, 2)])
def test_views_of_an_image_never_share_a_part(pairs: int, parts: int) -> None:
    watch = Watch()
    encoder = tf.keras.Sequential([watch, tf.keras.layers.Conv2D(4, 3)])
    model = SimCLR(encoder, ProjectionHead(out_dim=3), micro_batch_size=-(-pairs // parts))
    model.compile(LARS(0.1), run_eagerly=True)
    views = np.zeros((pairs, 2, 6, 6, 3), np.float32)
    views[..., 0] = np.arange(pairs)[:, None, None, None]
    views[:, 1, ..., 1] = 1
    watch.seen.clear()
    model.train_step({"views": tf.constant(views)})
    passes = watch.seen[:parts], watch.seen[parts:]
    everything = {(image, view) for image in range(pairs) for view in (0, 1)}
    for seen in passes:
        assert len(seen) == parts
        for part in seen:
            assert len(set(part[:, 0])) == len(part) <= 2 * -(-pairs // parts)
        assert {tuple(view) for part in seen for view in part} == everything
    np.testing.assert_equal(*passes)  # the second pass encodes what the first did


def test_a_scaled_loss() -> None:
    """With float16 gradients come to what float32 gives, but for rounding."""
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = make(normalized=False)
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(
            tf.keras.optimizers.SGD(RATE), dynamic=False, initial_scale=8
        )
        half.compile(optimizer)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    single = make(normalized=False)
    start = values(single)
    take_step(single)
    tf.function(half.train_step)({name: tf.constant(part) for name, part in BATCH.items()})
    assert_same(moved(single, start), moved(half, start), 0.02)


def test_a_step_that_is_left_out_leaves_no_trace() -> None:
    model = make()
    start = values(model)
    results = take_step(model, BROKEN, skip_nonfinite=True)
    assert results["left_out"] == 1
    np.testing.assert_equal(values(model), start)


def test_a_loaded_model_encodes_as_many() -> None:
    assert SimCLR.from_config(make(3).get_config()).micro_batch_size == 3


def test_what_penalizes_activations_is_refused() -> None:
    encoder = tf.keras.Sequential([tf.keras.layers.Conv2D(4, 3, activity_regularizer="l2")])
    with pytest.raises(ValueError, match="micro_batch_size=2, but a layer has an activity_reg"):
        SimCLR(encoder, micro_batch_size=2)
