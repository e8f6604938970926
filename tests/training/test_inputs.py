"""What networks take and refuse: batches, encoders, arguments. No message speaks of flags."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import (
    LARS,
    Architecture,
    Classifier,
    ProjectionHead,
    SimCLR,
    SimCLRViews,
    SupervisedHead,
    SupervisedView,
)
from simclr_tf.data import position_seeds, preprocess_for_eval
from simclr_tf.errors import SettingError
from simclr_tf.models import normalization_and_bias_variables

layers = tf.keras.layers
VIEWS = SimCLRViews(16, color_jitter_strength=0, use_blur=False)
VIEW = SupervisedView(16)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def encoder() -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [layers.Conv2D(4, 3, 2), layers.BatchNormalization(), layers.GlobalAveragePooling2D()]
    )


def simclr(classes: int | None = None, **arguments: Any) -> SimCLR:
    model = SimCLR(
        encoder(),
        ProjectionHead(num_layers=2, out_dim=4),
        SupervisedHead(classes) if classes else None,
        **{"views": VIEWS, "temperature": 0.5, **arguments},
    )
    model.compile(tf.keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def classifier(**arguments: Any) -> Classifier:
    model = Classifier(encoder(), supervised_head=SupervisedHead(3), **{"views": VIEW, **arguments})
    model.compile(tf.keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def step(model: SimCLR | Classifier, batch: Any) -> dict[str, float]:
    return {name: float(value) for name, value in model.train_step(batch).items()}


def forms(labels: np.ndarray) -> dict[str, Any]:
    """The same six images and labels in every form that is taken."""
    images, seeds = tf.constant(IMAGES), position_seeds(0, tf.range(6, dtype=tf.int64))
    labels = tf.constant(labels)
    return {
        "tuple": (images, labels),
        "labels in a column": (images, tf.cast(labels[:, tf.newaxis], tf.int32)),
        "tensorflow-datasets": {"image": images, "label": labels},
        "seeds": {"images": images, "seeds": seeds, "label": labels},
        "views": {"views": VIEWS(images, seeds), "label": labels},
    }


def test_all_forms_of_a_batch_are_one_step() -> None:
    steps = {name: step(simclr(3), batch) for name, batch in forms(LABELS).items()}
    assert set(steps["tuple"]) > {"total_loss", "contrast_loss", "supervised_loss"}
    for name, values in steps.items():
        assert values == pytest.approx(steps["tuple"], rel=1e-5), name


def test_labels_change_nothing_without_a_head_and_may_be_missing() -> None:
    images = tf.constant(IMAGES)
    expected = step(simclr(), images)
    assert "supervised_loss" not in expected
    for batch in ((images,), (images, tf.constant(LABELS)), {"image": images}):
        assert step(simclr(), batch) == expected


def test_images_without_a_label_count_for_nothing() -> None:
    """Neither in the probe's loss and accuracy, nor in its gradient, nor in top-1 and top-5."""
    images, some = tf.constant(IMAGES), np.array([0, -1, 2, -1, -1, 1])
    model = simclr(3)
    head = model.supervised_head.dense
    before = [v.numpy().astype(np.float64) for v in (head.kernel, head.bias)]
    seeds = position_seeds(0, tf.range(6, dtype=tf.int64))
    views = VIEWS(images, seeds)
    rows = np.concatenate([views[:, 0], views[:, 1]])
    features = model.encoder(tf.constant(rows), training=True).numpy().astype(np.float64)
    contrast = step(simclr(), {"views": views})
    values = step(model, {"views": views, "label": tf.constant(some)})
    labels = np.concatenate([some, some])
    known = labels >= 0
    logits = features @ before[0] + before[1]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    loss = -np.log(odds[known, labels[known]]).mean()
    assert values["supervised_loss"] == pytest.approx(loss, rel=1e-5)
    accuracy = np.mean(logits.argmax(1)[known] == labels[known])
    assert values["supervised_acc"] == pytest.approx(accuracy)
    for name in ("contrast_loss", "contrast_acc"):
        assert values[name] == pytest.approx(contrast[name], rel=1e-6)
    assert values["total_loss"] == pytest.approx(contrast["total_loss"] + loss, rel=1e-5)
    error = (odds - np.eye(3)[labels]) * known[:, np.newaxis] / known.sum()
    np.testing.assert_allclose(head.bias, before[1] - 0.1 * error.sum(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        head.kernel, before[0] - 0.1 * features.T @ error, rtol=1e-4, atol=1e-6
    )
    measured = model.evaluate(IMAGES, some, batch_size=6, verbose=0, return_dict=True)
    logits = model.supervised_head(model.encoder(IMAGES / 255.0, training=False)).numpy()
    top_1 = np.mean(logits.argmax(1)[known[:6]] == some[known[:6]])
    assert measured["eval/label_top_1_accuracy"] == pytest.approx(top_1)
    assert measured["eval/label_top_5_accuracy"] == 1


def test_a_batch_without_any_label_leaves_the_head_as_it_is() -> None:
    for model in (simclr(3), classifier(train_after_block=4)):
        before = [w.copy() for w in model.supervised_head.get_weights()]
        values = step(model, (tf.constant(IMAGES), tf.fill([6], -1)))
        assert values["supervised_loss"] == values["supervised_acc"] == 0
        assert np.isfinite(values["total_loss"])
        for old, new in zip(before, model.supervised_head.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_floats_lie_in_the_range_that_the_views_were_told() -> None:
    expected = step(simclr(), tf.constant(IMAGES))
    assert step(simclr(), tf.constant(IMAGES, tf.float32)) == expected
    unit = SimCLRViews(16, color_jitter_strength=0, use_blur=False, value_range=(0, 1))
    values = step(simclr(views=unit), tf.constant(IMAGES / 255, tf.float32))
    assert values == pytest.approx(expected, rel=1e-4)


def test_the_supervised_head_is_measured_on_whole_images() -> None:
    model = simclr(3)
    measured = model.evaluate(IMAGES, LABELS, batch_size=6, verbose=0, return_dict=True)
    logits = model.supervised_head(model.encoder(IMAGES / 255.0, training=False))
    top_1 = np.mean(np.argmax(logits, axis=1) == LABELS)
    assert 0 < top_1 < 1
    assert measured["eval/label_top_1_accuracy"] == pytest.approx(top_1)
    assert measured["contrast_loss"] > 0
    # This package's own evaluation has prepared the images; a weight of 0 counts nothing.
    batch = {
        "image": preprocess_for_eval(tf.constant(IMAGES), 16),
        "label": tf.constant(LABELS),
        "weight": tf.constant([1.0, 0, 0, 0, 0, 0]),
    }
    model.reset_metrics()
    one = model.test_step(batch)["eval/label_top_1_accuracy"]
    assert float(one) == float(np.argmax(logits[0]) == 0)


def test_a_classifier_trains_the_head_alone_or_all() -> None:
    for after_block, moves in ((4, False), (-1, True)):
        model = classifier(train_after_block=after_block)
        before = [part.get_weights() for part in (model.encoder, model.supervised_head)]
        model.fit(IMAGES, LABELS, batch_size=6, verbose=0)
        after = [part.get_weights() for part in (model.encoder, model.supervised_head)]
        moved = [any(np.any(a != b) for a, b in zip(*both)) for both in zip(before, after)]
        assert moved == [moves, True]


def test_a_classifier_comes_back_frozen(tmp_path) -> None:
    model = classifier(train_after_block=4)
    model.fit(IMAGES, LABELS, batch_size=6, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    assert [v.shape for v in loaded.trainable_variables] == [[4, 3], [3]]
    for either in (model, loaded):
        either.fit(IMAGES, LABELS, batch_size=6, verbose=0)
    np.testing.assert_array_equal(loaded.predict(IMAGES), model.predict(IMAGES))
    np.testing.assert_array_equal(
        loaded.supervised_head.get_weights()[0], model.supervised_head.get_weights()[0]
    )


def test_regularizers_of_the_users_own_are_a_part_of_the_loss() -> None:
    conv = layers.Conv2D(4, 3, kernel_regularizer=tf.keras.regularizers.L2(0.5))
    own = tf.keras.Sequential([conv, layers.GlobalAveragePooling2D()])
    model = SimCLR(own, ProjectionHead("none"), views=VIEWS, weight_decay=0.1)
    model.compile("sgd", run_eagerly=True)
    square = float(tf.reduce_sum(conv.kernel**2))
    values = step(model, tf.constant(IMAGES))
    assert values["weight_decay"] == pytest.approx((0.5 + 0.05) * square, rel=1e-5)
    assert values["total_loss"] == pytest.approx(values["contrast_loss"] + values["weight_decay"])


def test_compile_tells_lars_what_the_paper_leaves_out() -> None:
    model = simclr(3)
    model.compile(LARS(0.1, weight_decay=1e-4))
    model.optimizer.build(model.trainable_variables)
    left_out = model.optimizer.get_config()["exclude_from_weight_decay"]
    names = {id(v) for v in normalization_and_bias_variables(model)}
    names |= {id(v) for v in model.supervised_head.variables}
    assert left_out == [i for i, v in enumerate(model.trainable_variables) if id(v) in names]
    assert 0 < len(left_out) < len(model.trainable_variables)
    model.compile(LARS(0.1, exclude_from_weight_decay=[0]))
    model.optimizer.build(model.trainable_variables)
    assert model.optimizer.get_config()["exclude_from_weight_decay"] == [0]


def test_what_an_encoder_of_the_users_own_may_leave_out() -> None:
    class Bare(tf.keras.Model):
        """Its call does not ask for `training`."""

        def call(self, images: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(images, [1, 2])

    model = SimCLR(Bare(), views=VIEWS)
    np.testing.assert_allclose(
        model.predict(IMAGES, verbose=0), IMAGES.mean((1, 2)) / 255, rtol=1e-5
    )


class TwoOutputs(tf.keras.Model):
    def call(self, images: tf.Tensor) -> list[tf.Tensor]:
        return [images, images]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SimCLR("resnet50"),
            "encoder='resnet50' is neither an Architecture nor a",
        ),
        (lambda: SimCLR(TwoOutputs()), "returns a list, not one tensor; give a model that returns"),
        (lambda: SimCLR(layers.Reshape([-1, 3])), "neither .*batch, dim.*; add a layer that pools"),
        (lambda: SimCLR(Architecture(51)), "resnet_depth=51` must be one of 18, 34, 50"),
        (lambda: simclr(temperature=0), "temperature=0 must be above 0"),
        (lambda: simclr(weight_decay=-1.0), "weight_decay=-1.0 must be at least 0"),
        (lambda: simclr(seed=-1), "seed=-1 must be a whole number, 0 to 4,294,967,295"),
        (lambda: classifier(projection_selector=1), "projection_selector=1 must be a whole number"),
        (lambda: classifier(train_after_block=5), "train_after_block=5 must be a whole number, -1"),
        (
            lambda: classifier(train_after_block=2),
            "train_after_block=2 needs .*a ResNet, .*give -1",
        ),
        (lambda: Classifier(encoder()), r"supervised_head=None; give .*SupervisedHead\(classes\)"),
        (lambda: SimCLR(encoder()).predict(IMAGES), "views=None, but .* views=SimCLRViews"),
        (lambda: simclr().fit(IMAGES[0]), r"images are .*; batch the dataset"),
        (lambda: simclr().fit(IMAGES[..., :1]), "images are .*; make it RGB"),
        (lambda: simclr().train_step((IMAGES,) * 3), "a tuple of 3; give .*images, labels"),
        (lambda: simclr().train_step("images"), "a batch is a str; give .*images, labels"),
        (lambda: simclr().train_step({"pixels": IMAGES}), "holds pixels, but no images; give"),
        (lambda: simclr(3).fit(IMAGES), "supervised_head needs labels, .*; give .*, or leave"),
        (lambda: simclr(3).fit(IMAGES, np.eye(6)), r"labels are .*, not integers \[batch\]; give"),
        (lambda: simclr().train_step(tf.constant(IMAGES / 255)), "no pixel is above 1; construct"),
        (
            lambda: simclr(views=SimCLRViews(16, value_range=(0, 1))).fit(IMAGES),
            "value_range=.*, but images are uint8; construct the views with",
        ),
        (lambda: classifier().fit(IMAGES), "supervised_head needs labels"),
        (lambda: simclr(contrastive_loss="supcon").fit(IMAGES), "'supcon' needs labels, .*; give"),
        (lambda: simclr(contrastive_loss="triplet"), "contrastive_loss='triplet' must be one of"),
        (lambda: simclr().compile(loss="mse"), "unexpected keyword argument 'loss'"),
    ],
)
def test_wrong_use_is_told_by_argument_value_and_remedy(make, message) -> None:
    errors = (ValueError, TypeError, SettingError, tf.errors.InvalidArgumentError)
    with pytest.raises(errors, match=re.compile(message, re.S)) as caught:
        make()
    assert "--" not in str(caught.value)
