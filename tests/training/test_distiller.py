"""A student of the user's own, and a teacher that stays what it is."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import SupervisedHead, SupervisedView
from simclr_tf.checkpoints import fingerprint, variables_by_path
from simclr_tf.losses import distillation_loss
from simclr_tf.training.classifier import Classifier
from simclr_tf.training.distiller import Distiller
from simclr_tf.training.network import Network
from simclr_tf.training.teacher import Teacher

CLASSES = 4
rng = np.random.default_rng(0)
VIEWS = rng.random((6, 8, 8, 3), np.float32)
LABELS = np.array([0, -1, 3, -1, -1, 2])


def encoder() -> tf.keras.Sequential:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    )


@pytest.fixture
def network() -> Network:
    """A teacher's, whose batch normalization has seen images."""
    tf.keras.utils.set_random_seed(1)
    views = SupervisedView(8, value_range=(0, 1))
    network = Network(encoder(), supervised_head=SupervisedHead(CLASSES), views=views)
    network(VIEWS, training=True)
    network.supervised_head.dense.kernel.assign(rng.normal(0, 9, (4, CLASSES)))  # is sure
    return network


def make(teacher, **settings) -> Distiller:
    tf.keras.utils.set_random_seed(0)
    student = Distiller(
        encoder(), None, SupervisedHead(CLASSES), teacher=teacher, weight_decay=0.01, **settings
    )
    student.compile(tf.keras.optimizers.SGD(1.0))
    return student


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_a_step_follows_the_gradient_of_the_mixture(network: Network, weight: float) -> None:
    teacher = Teacher(network, 8)
    student = make(teacher, temperature=2.0, distillation_weight=weight)
    twin = make(teacher)  # of the same weights
    with tf.GradientTape() as tape:
        features = tf.reduce_mean(twin.encoder(VIEWS, training=True), [1, 2])
        logits = twin.supervised_head(features)
        taught = tf.reduce_mean(distillation_loss(teacher(VIEWS), logits, temperature=2.0))
        known = np.flatnonzero(LABELS >= 0)
        supervised = tf.keras.losses.sparse_categorical_crossentropy(
            LABELS[known], tf.gather(logits, known), from_logits=True
        )
        supervised = tf.reduce_mean(supervised)
        kernels = [twin.encoder.layers[0].kernel, twin.supervised_head.dense.kernel]
        decay = 0.01 * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
        total = weight * taught + (1 - weight) * supervised + decay
    gradients = tape.gradient(total, twin.trainable_variables)
    before = [v.numpy() for v in student.trainable_variables]
    metrics = student.train_step({"views": tf.constant(VIEWS), "label": tf.constant(LABELS)})
    for start, after, gradient in zip(before, student.trainable_variables, gradients, strict=True):
        assert np.abs(gradient).max() > 1e-4
        np.testing.assert_allclose(start - after, gradient, rtol=1e-4, atol=1e-6)
    agreement = np.mean(np.argmax(teacher(VIEWS), 1) == np.argmax(logits, 1))
    expected = {"total_loss": total, "distillation_loss": taught, "teacher_agreement": agreement}
    expected |= {"weight_decay": decay}
    if weight < 1:
        hits = np.argmax(logits, 1)[known] == LABELS[known]
        expected |= {"supervised_loss": supervised, "supervised_acc": np.mean(hits)}
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)


def test_without_a_share_labels_are_not_read(network: Network) -> None:
    """Neither needed nor wrong: batches of images alone, and labels that cannot be."""
    weights = []
    images = {"views": tf.constant(VIEWS)}
    for batch in (images, {**images, "label": tf.fill([6], tf.constant(99, tf.int64))}):
        student = make(Teacher(network, 8))
        student.train_step(batch)
        weights.append(student.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="supervised_head needs labels"):
        make(Teacher(network, 8), distillation_weight=0.5).train_step(images)


def test_none_of_the_teachers_variables_is_the_students(network: Network) -> None:
    teacher, plain = Teacher(network, 8), Classifier(encoder(), None, SupervisedHead(CLASSES))
    student = make(teacher)
    student.fit(tf.data.Dataset.from_tensors({"views": VIEWS}).repeat(3), verbose=0)
    own = variables_by_path(network.parts).values()
    found = [v for v in tf.train.TrackableView(student).descendants() if hasattr(v, "assign")]
    found += [*student.variables, *student.optimizer.variables]
    assert not {id(v) for v in own} & {id(v) for v in found}
    assert variables_by_path(student.parts).keys() == variables_by_path(plain.parts).keys()
    assert network.trainable_variables == []


def test_the_teacher_stays_bit_for_bit_and_its_fingerprint_says_so(network: Network) -> None:
    before = fingerprint(network.parts)
    teacher, strategy = Teacher(network, 8), tf.distribute.get_strategy()
    assert teacher.fingerprints(strategy) == {before}
    student = make(teacher)
    start = student.encoder.get_weights()
    student.fit(tf.data.Dataset.from_tensors({"views": VIEWS}).repeat(3), verbose=0)
    assert not np.array_equal(start[0], student.encoder.get_weights()[0])
    assert fingerprint(network.parts) == before
    mean = network.encoder.layers[1].moving_mean
    mean.assign_add(tf.fill(mean.shape, 1e-6))  # what batch normalization would do to it
    assert teacher.fingerprints(strategy) != {before}


@pytest.mark.parametrize(("given", "own"), [(24, 16), (8, 16), (40, 9)])
def test_it_sees_the_students_view_in_its_own_size(given: int, own: int) -> None:
    views = rng.random((2, given, given, 3), np.float32)
    expected = tf.image.resize(views, [own, own], method="bicubic", antialias=True)
    seen = []
    network = Network(encoder(), supervised_head=SupervisedHead(CLASSES))
    network.call = lambda images, training: (
        seen.append((images, training)) or {"logits_sup": tf.zeros([2, CLASSES])}
    )
    Teacher(network, own)(tf.constant(views))
    ((images, training),) = seen
    assert training is False
    np.testing.assert_allclose(images, np.clip(expected, 0, 1), atol=1e-4)


def test_what_cannot_be(network: Network) -> None:
    with pytest.raises(ValueError, match="a teacher without supervised_head has nothing to teach"):
        Teacher(Network(encoder()), 8)
    for settings in ({"temperature": 0}, {"distillation_weight": 0}, {"distillation_weight": 1.1}):
        with pytest.raises(ValueError, match=f"{next(iter(settings))}="):
            make(Teacher(network, 8), **settings)
    with pytest.raises(NotImplementedError, match="its teacher is no part of it"):
        make(Teacher(network, 8)).get_config()
    other = make(lambda images: tf.zeros([tf.shape(images)[0], CLASSES + 1]))
    with pytest.raises(ValueError, match="the teacher has 5 classes, the student 4"):
        other.train_step({"views": tf.constant(VIEWS)})
