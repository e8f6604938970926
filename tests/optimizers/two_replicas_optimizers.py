"""Run by test_two_replicas_optimizers.py in a process of its own: one MirroredStrategy a process.

Prints one JSON object: for each optimizer the weights that two logical CPUs reach, beside those of
one device.
"""

import json

import numpy as np

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf import compat
from simclr_tf.optimizers import LARS, WarmUpCosine, build_optimizer

STEPS = 4
rng = np.random.default_rng(0)
INITIAL = rng.normal(size=(3, 2, 2)).astype(np.float32)  # three variables
GRADIENTS = rng.normal(size=(STEPS, 3, 2, 2)).astype(np.float32)


def make(name):
    """Returns three variables of one name, and an optimizer that excludes the middle one."""
    variables = [tf.Variable(value, name="same") for value in INITIAL]
    optimizer = build_optimizer(
        name,
        learning_rate=WarmUpCosine(0.5, 2, 8),
        momentum=0.9,
        weight_decay=0.3,
        exclude=[variables[1]],
    )
    return variables, optimizer


def on_one_device(name):
    variables, optimizer = make(name)
    for gradients in GRADIENTS:
        optimizer.apply_gradients(zip(map(tf.constant, gradients), variables, strict=True))
    return [variable.numpy().tolist() for variable in variables]


def on_two_replicas(strategy, name):
    """Each replica contributes a part of the gradient: a quarter and three quarters."""
    with strategy.scope():
        variables, optimizer = make(name)

        def step(gradients):
            replica_id = tf.distribute.get_replica_context().replica_id_in_sync_group
            part = tf.cast([0.25, 0.75], tf.float32)[replica_id]
            gradients = tf.unstack(part * gradients)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))

        run = tf.function(lambda gradients: strategy.run(step, args=(gradients,)))
        for gradients in GRADIENTS:
            run(tf.constant(gradients))
    replicas = [strategy.experimental_local_results(variable) for variable in variables]
    values = [
        [np.asarray(part).tolist() for part in parts] for parts in zip(*replicas, strict=True)
    ]
    excluded = None
    if isinstance(optimizer, LARS):
        excluded = optimizer.get_config()["exclude_from_weight_decay"]
    return {"replicas": values, "excluded": excluded}


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    names = ["lars", "adamw"] + (["lamb"] if compat.addons() else [])
    report = {
        name: {"one": on_one_device(name), "two": on_two_replicas(strategy, name)} for name in names
    }
    print(json.dumps({"initial": INITIAL.tolist(), "optimizers": report}))


if __name__ == "__main__":
    main()
