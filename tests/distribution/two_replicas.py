"""Run by test_two_replicas.py in a process of its own: a process gets one MirroredStrategy.

Prints one JSON object: what two logical CPUs compute, beside one device on the same global batch.
"""

import json

import numpy as np

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.distribution import (
    choose_strategy,
    gather_replicas,
    replica_offset,
    replica_share,
)
from simclr_tf.losses import dcl, nt_xent, sup_con

GLOBAL_BATCH, IMAGE_DIM, DIM, TEMPERATURE = 6, 5, 4, 0.2
rng = np.random.default_rng(0)
INITIAL = rng.normal(size=(IMAGE_DIM, DIM)).astype(np.float32)
PAIRS = rng.normal(size=(GLOBAL_BATCH, 2, IMAGE_DIM)).astype(np.float32)


def labels_of(pairs):
    """Two classes, and -1 here and there."""
    return tf.where(pairs[:, 0, 4] > 0.5, -1, tf.cast(pairs[:, 0, 2] > 0, tf.int32))


def loss_and_gradient(pairs, weights, loss=nt_xent):
    """pairs: float32 [local pairs, 2, IMAGE_DIM]. Returns also the local loss and metrics."""
    views = tf.reshape(tf.transpose(pairs, [1, 0, 2]), [-1, IMAGE_DIM])
    more = [labels_of(pairs)] if loss is sup_con else []
    with tf.GradientTape() as tape:
        output = loss(tf.matmul(views, weights), *more, temperature=TEMPERATURE)
        loss = output.loss * replica_share(tf.shape(pairs)[0])
    return loss, output, tape.gradient(loss, weights)


def on_one_device(pairs, *loss):
    weights = tf.Variable(INITIAL)
    loss, output, gradient = loss_and_gradient(tf.constant(pairs), weights, *loss)
    tf.keras.optimizers.SGD(1.0).apply_gradients([(gradient, weights)])
    return {
        "loss": float(loss),
        "accuracy": float(output.accuracy),
        "entropy": float(output.entropy),
        "delta": (weights.numpy() - INITIAL).tolist(),
    }


def batch_from_dataset(strategy, pairs, drop_remainder):
    """What training does: tf.distribute splits each batch; local sizes are static or unknown."""
    dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(
        GLOBAL_BATCH, drop_remainder=drop_remainder
    )
    return next(iter(strategy.experimental_distribute_dataset(dataset)))


def batch_on_first_replica(strategy, pairs):
    """All pairs on one replica, none on the other, as static shapes that differ."""

    def local(context):
        return tf.constant(pairs if context.replica_id_in_sync_group == 0 else pairs[:0])

    return strategy.experimental_distribute_values_from_function(local)


def on_two_replicas(strategy, batch, *of):
    with strategy.scope():
        weights = tf.Variable(INITIAL)
        optimizer = tf.keras.optimizers.SGD(1.0)
        optimizer.build([weights])

    def step(local):
        loss, output, gradient = loss_and_gradient(local, weights, *of)
        optimizer.apply_gradients([(gradient, weights)])
        count = tf.shape(local)[0]
        return {
            "size": count,
            "loss": loss,
            "accuracy": output.accuracy,
            "entropy": output.entropy,
            "offset": replica_offset(count),
            "share": replica_share(count),
            "gathered": gather_replicas(local),
        }

    results = tf.function(lambda batch: strategy.run(step, args=(batch,)))(batch)
    plain = {
        key: [value.numpy().tolist() for value in strategy.experimental_local_results(result)]
        for key, result in results.items()
    }
    return {**plain, "delta": (weights.numpy() - INITIAL).tolist()}


def gather_bfloat16(strategy, batch):
    """Gathers whole numbers, which bfloat16 holds exactly, and weighs them by replica."""

    def step(local):
        rows = tf.cast(local, tf.bfloat16)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with tf.GradientTape() as tape:
            tape.watch(rows)
            gathered = gather_replicas(rows)
            weights = tf.cast(tf.range(tf.size(gathered)) * (1 + replica), tf.bfloat16)
            loss = tf.reduce_sum(tf.reshape(gathered, [-1]) * weights)
        gradient = tape.gradient(loss, rows)
        assert gathered.dtype == gradient.dtype == tf.bfloat16
        return tf.cast(gathered, tf.float32), tf.cast(gradient, tf.float32)

    results = tf.function(lambda batch: strategy.run(step, args=(batch,)))(batch)
    gathered, gradient = (
        [value.numpy().tolist() for value in strategy.experimental_local_results(result)]
        for result in results
    )
    return {"gathered": gathered, "gradient": gradient}


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = choose_strategy()
    report = {"strategy": type(strategy).__name__, "replicas": strategy.num_replicas_in_sync}
    batches = {
        "even_static": (PAIRS, batch_from_dataset(strategy, PAIRS, drop_remainder=True)),
        "even": (PAIRS, batch_from_dataset(strategy, PAIRS, drop_remainder=False)),
        "uneven": (PAIRS[:5], batch_from_dataset(strategy, PAIRS[:5], drop_remainder=False)),
        "one_replica_empty": (PAIRS[:3], batch_on_first_replica(strategy, PAIRS[:3])),
    }
    for name, (pairs, batch) in batches.items():
        report[name] = {
            "pairs": pairs.tolist(),
            "one": on_one_device(pairs),
            "two": on_two_replicas(strategy, batch),
        }
    for name, loss in {"uneven_dcl": dcl, "uneven_sup_con": sup_con}.items():
        pairs, batch = batches["uneven"]
        report[name] = {
            "one": on_one_device(pairs, loss),
            "two": on_two_replicas(strategy, batch, loss),
            "labels": labels_of(tf.constant(pairs)).numpy().tolist(),
        }
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    for name, count in {"even": 4, "uneven": 5}.items():
        dataset = tf.data.Dataset.from_tensors(rows[:count]).unbatch().batch(count)
        batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
        report[f"bfloat16_{name}"] = gather_bfloat16(strategy, batch)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
