"""The supervised head: a linear classifier on features."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.bounds import Range, check_argument


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class SupervisedHead(tf.keras.layers.Layer):
    """Logits `features @ kernel + bias`, computed in float32 whatever the precision of the model.

    Args:
      num_classes: Number of logits.
      zero_init: Start the kernel at zero, so that all classes start equally likely. Otherwise
        it is drawn from a normal distribution with standard deviation 0.01.
      name: Name of the layer.

    Raises:
      ValueError: If `num_classes` is below 1.
    """

    def __init__(
        self, num_classes: int, *, zero_init: bool = False, name: str = "supervised_head"
    ) -> None:
        # The policy covers the input: features in bfloat16 are cast before they are multiplied.
        super().__init__(name=name, dtype="float32")
        check_argument("num_classes", num_classes, Range(1), whole=True)
        self._arguments = {"num_classes": num_classes, "zero_init": zero_init, "name": name}
        self.dense = tf.keras.layers.Dense(
            num_classes,
            kernel_initializer=(
                "zeros" if zero_init else tf.keras.initializers.RandomNormal(stddev=0.01)
            ),
            dtype="float32",
        )

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns float32 logits [batch, num_classes] of `features` [batch, dim]."""
        return self.dense(features)

    def get_config(self) -> dict[str, Any]:
        return dict(self._arguments)
