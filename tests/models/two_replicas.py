"""Run by test_normalization.py in a process of its own: a process gets one MirroredStrategy.

Prints one JSON object: outputs, gradients and moving statistics of a network with global_bn on two
logical CPUs, beside one device on the same global batch; and of single layers, whose inputs lie far
from zero and close together, with the number of their collectives.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

import simclr_tf

simclr_tf.compat.import_tensorflow()

import tensorflow as tf  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from simclr_tf.models import BatchNormRelu, ProjectionHead  # noqa: E402
from simclr_tf.models.blocks import ResidualBlock, mean_over_space  # noqa: E402
from tests.models.far_inputs import far_inputs, weights_of  # noqa: E402

IMAGES = np.random.default_rng(0).uniform(size=(8, 8, 8, 3)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32)


# How many of 96 rows the first replica has.
SPLITS = {"even": 48, "uneven": 60, "second empty": 96, "first empty": 0}


class Network(tf.keras.Model):
    """One residual block and a projection head: normalization of 4-D and of 2-D inputs."""

    def __init__(self, global_bn: bool) -> None:
        super().__init__()
        norm = functools.partial(BatchNormRelu, global_bn=global_bn, momentum=0.9)
        self.block = ResidualBlock(6, 2, project=True, sk_ratio=0.0, se_ratio=0.0, norm=norm)
        self.head = ProjectionHead(num_layers=2, out_dim=5, global_bn=global_bn)

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        features = mean_over_space(self.block(images, training=training))
        return self.head(features, training=training)[-1]


def make(global_bn: bool) -> Network:
    model = Network(global_bn)
    model(IMAGES)
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        sign = rng.choice([-1, 1], variable.shape)
        variable.assign(sign * rng.uniform(0.1, 1.0, variable.shape))
    model.optimizer = tf.keras.optimizers.SGD(0.1)
    model.optimizer.build(model.trainable_variables)
    return model


def step(model: Network, images: tf.Tensor, targets: tf.Tensor) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) * targets) / len(IMAGES)
    variables = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


def run(strategy: tf.distribute.Strategy | None, global_bn: bool) -> dict[str, list]:
    with (strategy or tf.distribute.get_strategy()).scope():
        model = make(global_bn)
    if strategy is None:
        tf.function(step)(model, IMAGES, TARGETS)
    else:
        half = len(IMAGES) // 2

        def share(values):
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(
                    values[half * context.replica_id_in_sync_group :][:half]
                )
            )

        tf.function(lambda *args: strategy.run(step, args=(model, *args)))(
            share(IMAGES), share(TARGETS)
        )
    return {
        "weights": [v.numpy().tolist() for v in model.trainable_variables],
        "statistics": [v.numpy().tolist() for v in model.non_trainable_variables],
    }


def normalize(
    strategy: tf.distribute.Strategy, inputs: np.ndarray, first: int, **options
) -> dict[str, Any]:
    """Trains one layer for a step, with `weights_of(inputs)` as the gradient of its outputs."""
    with strategy.scope():
        layer = BatchNormRelu(relu=False, **options)
        layer(inputs[:1])
    weights = weights_of(inputs)

    def share(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(np.split(values, [first])[context.replica_id_in_sync_group])
        )

    def step(inputs, weights):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(tf.cast(inputs, layer.compute_dtype), training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
        return outputs, *tape.gradient(loss, [inputs, layer.gamma, layer.beta])

    call = tf.function(lambda *batch: strategy.run(step, args=batch))
    graph = call.get_concrete_function(share(inputs), share(weights)).graph
    outputs, to_inputs, to_gamma, to_beta = [
        [
            tf.cast(value, tf.float32).numpy()
            for value in strategy.experimental_local_results(result)
        ]
        for result in call(share(inputs), share(weights))
    ]
    collectives = [op for op in graph.get_operations() if op.type.startswith("Collective")]
    result = {
        "outputs": outputs,
        "to_inputs": to_inputs,
        "to_gamma": to_gamma,
        "to_beta": to_beta,
        "moving_mean": [value.numpy() for value in layer.moving_mean.values],
        "moving_variance": [value.numpy() for value in layer.moving_variance.values],
    }
    per_replica = [
        {name: values[replica].tolist() for name, values in result.items()}
        for replica in range(strategy.num_replicas_in_sync)
    ]
    return {"replicas": per_replica, "collectives": len(collectives) / len(per_replica)}


def layers(strategy: tf.distribute.Strategy) -> dict[str, dict]:
    cases = {}
    for mean, deviation in ((20.0, 1e-3), (1000.0, 1e-3)):
        inputs = far_inputs(mean, deviation)
        for split, first in SPLITS.items():
            cases[f"{mean} {split}"] = normalize(strategy, inputs, first)
        cases[f"{mean} apart"] = normalize(strategy, inputs, 60, global_bn=False)
    # Steps of 1/8 are what bfloat16 has around 20.
    rounded = np.round(far_inputs(20.0, 0.25) * 8) / 8
    cases["bfloat16 uneven"] = normalize(strategy, rounded, 60, dtype="mixed_bfloat16")
    cases["frozen"] = normalize(strategy, rounded, 60, trainable=False)
    return cases


def main() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    print(
        json.dumps(
            {
                "one": run(None, True),
                "two": run(strategy, True),
                "two_unsynchronized": run(strategy, False),
                "layers": layers(strategy),
            }
        )
    )


if __name__ == "__main__":
    main()
