"""Run by test_two_replicas_simclr.py in a process of its own: a process gets one MirroredStrategy.

Prints one JSON object: what two logical CPUs, or as many as the argument says, come to that train
and evaluate on images of a user's own, beside one device.
"""

import json
import sys

import numpy as np

import simclr_tf

simclr_tf.compat.import_tensorflow()

import tensorflow as tf

from simclr_tf import LARS, ProjectionHead, SimCLR, SimCLRViews, SupervisedHead
from simclr_tf.evaluation import encode_views, measure_health

rng = np.random.default_rng(0)
# Batches of 6 images and one of 5, which the replicas share as 3 and 3, and 3 and 2.
IMAGES = rng.integers(0, 256, (17, 16, 16, 3), np.uint8)
PICTURES = IMAGES[:16].reshape(8, 2, 16, 16, 3)  # as two views of eight
LABELS = rng.integers(0, 4, 17)
LABELS[[0, 1, 8, 15, 16]] = -1  # without a label: 2 of one replica's 3, 1, and all of the last 2


def make(micro_batch_size: int = 0, *, normalized: bool = True) -> SimCLR:
    """Wraps an encoder of a user's own, whose batch normalization learns unless told otherwise."""
    layers = tf.keras.layers
    encoder = tf.keras.Sequential(
        [
            layers.Conv2D(8, 3, strides=2, use_bias=False),
            layers.BatchNormalization(synchronized=True, trainable=normalized),
            layers.ReLU(),
            layers.Conv2D(16, 3, use_bias=False),
        ]
    )
    head = ProjectionHead(num_layers=2, out_dim=8)
    views = SimCLRViews(16, color_jitter_strength=0, use_blur=False)
    for layer in head.layers:
        layer.norm.trainable = normalized
    return SimCLR(
        encoder,
        head,
        SupervisedHead(4),
        views=views,
        temperature=0.5,
        micro_batch_size=micro_batch_size,
    )


def run(
    strategy: tf.distribute.Strategy,
    micro_batch_size: int = 0,
    *,
    normalized: bool = True,
    count: int = 17,
    batch: int = 6,
) -> dict[str, object]:
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make(micro_batch_size, normalized=normalized)
        model.compile(LARS(0.5, weight_decay=1e-3))
    start = model.encoder.get_weights()[0]
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES[:count], LABELS[:count])).batch(batch)
    history = model.fit(dataset, epochs=2, verbose=0).history
    return {
        "replicas": strategy.num_replicas_in_sync,
        "history": history,
        "measured": model.evaluate(dataset, verbose=0, return_dict=True),
        "again": model.evaluate(dataset, verbose=0, return_dict=True),
        "health": measure_health(*encode_views(model, PICTURES, at_once=7)),
        "excluded": model.optimizer.get_config()["exclude_from_weight_decay"],
        "moved": float(np.abs(model.encoder.get_weights()[0] - start).max()),
        "weights": [w.tolist() for part in model.parts.values() for w in part.get_weights()],
    }


def skip(strategy: tf.distribute.Strategy) -> dict[str, object]:
    """Three batches of two images, the second with a pixel that is no number in its last row."""
    views = np.random.default_rng(1).random((6, 2, 16, 16, 3), np.float32)
    broken = np.concatenate([views[:2], views[:2], views[2:]])
    broken[3, 1, 5, 5, 0] = np.inf  # the second replica's alone
    results = {}
    for name, batches in (("whole", views), ("broken", broken)):
        tf.keras.utils.set_random_seed(0)
        with strategy.scope():
            model = make()
            model.compile(LARS(0.5, weight_decay=1e-3), skip_nonfinite=True)
        labels = np.zeros(len(batches), np.int64)
        data = tf.data.Dataset.from_tensor_slices({"views": batches, "label": labels}).batch(2)
        history = model.fit(data, verbose=0).history
        results[name] = {
            "left_out": history["left_out"][-1],
            "in_a_row": history["left_out_in_a_row"][-1],
            "loss": history["total_loss"][-1],
            "weights": [w.tolist() for part in model.parts.values() for w in part.get_weights()],
        }
    return results


def main() -> None:
    count = int(sys.argv[1])
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * count
    )
    strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])
    report = {}
    if count == 2:
        report["one"], report["two"] = run(tf.distribute.get_strategy()), run(strategy)
        report["skipping"] = skip(strategy)
    # A batch of 8 and one of 7, whose parts differ in size.
    uneven = {"normalized": False, "count": 15, "batch": 8}
    report["whole"] = run(tf.distribute.get_strategy(), **uneven)
    report["parts"] = run(strategy, 4, **uneven)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
