"""Run by test_two_replicas_distiller.py in a process of its own, which gets one MirroredStrategy.

Prints one JSON object: what two logical CPUs come to that distill a teacher, beside one device.
"""

import json

import numpy as np

import simclr_tf

simclr_tf.compat.import_tensorflow()

import tensorflow as tf

from simclr_tf import LARS, ProjectionHead, SupervisedHead, SupervisedView
from simclr_tf.training.distiller import Distiller
from simclr_tf.training.network import Network
from simclr_tf.training.teacher import Teacher

rng = np.random.default_rng(0)
# Batches of 6 images and one of 5, which the replicas share as 3 and 3, and 3 and 2.
IMAGES = rng.integers(0, 256, (17, 16, 16, 3), np.uint8)
LABELS = rng.integers(0, 4, 17)
LABELS[[0, 1, 8, 15, 16]] = -1  # without a label: 2 of one replica's 3, 1, and all of the last 2


def encoder(channels: int) -> tf.keras.Sequential:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Conv2D(channels, 3, strides=2, use_bias=False),
            layers.BatchNormalization(synchronized=True),
            layers.ReLU(),
        ]
    )


def run(strategy: tf.distribute.Strategy, weight: float) -> dict[str, object]:
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        network = Network(encoder(12), ProjectionHead("none"), SupervisedHead(4))
        network.supervised_head.dense.kernel.assign(rng_like(network.supervised_head.dense.kernel))
        teacher = Teacher(network, 8)
        student = Distiller(
            encoder(8),
            ProjectionHead("none"),
            SupervisedHead(4),
            teacher=teacher,
            temperature=2.0,
            distillation_weight=weight,
            views=SupervisedView(16),
        )
        student.compile(LARS(0.5, weight_decay=1e-3))
    before = sorted(teacher.fingerprints(strategy))
    start = student.encoder.get_weights()[0]
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(6)
    history = student.fit(dataset, epochs=2, verbose=0).history
    return {
        "replicas": strategy.num_replicas_in_sync,
        "history": history,
        "moved": float(np.abs(student.encoder.get_weights()[0] - start).max()),
        "weights": [w.tolist() for part in student.parts.values() for w in part.get_weights()],
        "teacher": [before, sorted(teacher.fingerprints(strategy))],
    }


def rng_like(variable: tf.Variable) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 30, variable.shape)


def main() -> None:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {
        str(weight): [run(tf.distribute.get_strategy(), weight), run(strategy, weight)]
        for weight in (1.0, 0.3)
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
