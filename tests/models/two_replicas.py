"""Run by test_normalization.py in a process of its own: a process gets one MirroredStrategy.

Prints one JSON object: outputs, gradients and moving statistics of a network with global_bn on two
logical CPUs, beside one device on the same global batch.
"""

from __future__ import annotations

import functools
import json

import numpy as np

import simclr_tf

simclr_tf.compat.import_tensorflow()

import tensorflow as tf  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from simclr_tf.models import BatchNormRelu, ProjectionHead  # noqa: E402
from simclr_tf.models.blocks import ResidualBlock, mean_over_space  # noqa: E402

IMAGES = np.random.default_rng(0).uniform(size=(8, 8, 8, 3)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32)


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


def main() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    print(
        json.dumps(
            {
                "one": run(None, True),
                "two": run(strategy, True),
                "two_unsynchronized": run(strategy, False),
            }
        )
    )


if __name__ == "__main__":
    main()
