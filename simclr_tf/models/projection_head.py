"""The projection head: from features to the space of the contrastive loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.architecture import BOUNDS, Architecture
from simclr_tf.bounds import check_argument
from simclr_tf.models.normalization import BatchNormRelu
from simclr_tf.models.precision import under_policy


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class ProjectionHead(tf.keras.layers.Layer):
    """Dense layers, each followed by batch normalization, on top of the features.

    `none` has no layer, `linear` one, `nonlinear` has `num_layers` (SimCLR uses 2, SimCLRv2 3).
    All but the last keep the width of the features, have an offset and end in ReLU; the last has
    `out_dim` outputs, neither offset nor ReLU. Source: SimCLR, section 4.2 and figure 8; SimCLRv2,
    section 3.2; the reference for normalization.

    Args:
      mode: `none`, `linear` or `nonlinear`.
      num_layers: Number of dense layers, if `nonlinear`.
      out_dim: Width of the projection; `none` ignores it.
      global_bn: Share batch statistics between replicas.
      batch_norm_momentum: Share of the old moving statistics that a training step keeps.
      last_offset: Give the last layer an offset too, as PyTorch's heads have.
      name: Name of the layer.

    Raises:
      ValueError: If `mode` is unknown, or a number is below 1.
    """

    def __init__(
        self,
        mode: str = "nonlinear",
        *,
        num_layers: int = 3,
        out_dim: int = 128,
        global_bn: bool = True,
        batch_norm_momentum: float = 0.9,
        last_offset: bool = False,
        name: str = "projection_head",
    ) -> None:
        super().__init__(name=name)
        check_argument("mode", mode, BOUNDS["proj_head_mode"])
        check_argument("num_layers", num_layers, BOUNDS["num_proj_layers"], whole=True)
        check_argument("out_dim", out_dim, BOUNDS["proj_out_dim"], whole=True)
        self.mode = mode
        described = Architecture(proj_head_mode=mode, num_proj_layers=num_layers)
        self.num_layers = described.projection_layers
        self.out_dim = out_dim
        self._arguments = {
            "mode": mode,
            "num_layers": num_layers,
            "out_dim": out_dim,
            "global_bn": global_bn,
            "batch_norm_momentum": batch_norm_momentum,
            "last_offset": last_offset,
            "name": name,
        }
        self.layers = [
            DenseNorm(
                None if index < self.num_layers - 1 else out_dim,
                global_bn=global_bn,
                momentum=batch_norm_momentum,
                offset=index < self.num_layers - 1 or last_offset,
            )
            for index in range(self.num_layers)
        ]

    def call(self, features: tf.Tensor, training: Any = None) -> list[tf.Tensor]:
        """Returns the features, each hidden layer and last the projection.

        Args:
          features: [batch, dim].
          training: Normalize with the statistics of this batch and update the moving ones.

        Returns:
          `num_layers + 1` tensors: [batch, dim] but for the last, which is [batch, out_dim].
          Mode `none` returns one, the features.
        """
        hiddens = [features]
        for layer in self.layers:
            hiddens.append(layer(hiddens[-1], training=training))
        return hiddens

    def get_config(self) -> dict[str, Any]:
        return {**self._arguments, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ProjectionHead:
        config = dict(config)
        with under_policy(config.pop("dtype")):
            return cls(**config)


class DenseNorm(tf.keras.layers.Layer):
    """A dense layer without bias and batch normalization, whose offset is the bias.

    Args:
      units: Number of outputs. None makes a hidden layer: as many as inputs, ReLU.
      global_bn: Share batch statistics between replicas.
      momentum: Share of the old moving statistics that a training step keeps.
      offset: Add a trained offset.
    """

    def __init__(
        self, units: int | None, *, global_bn: bool, momentum: float, offset: bool
    ) -> None:
        super().__init__()
        self.units = units
        # Before the dense layer, as in the reference: `variables` has the order of its checkpoints.
        self.norm = BatchNormRelu(
            global_bn=global_bn, momentum=momentum, relu=units is None, center=offset
        )

    def build(self, input_shape: tf.TensorShape) -> None:
        self.dense = tf.keras.layers.Dense(
            self.units or input_shape[-1],
            use_bias=False,
            kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.01),
            trainable=self.trainable,
            dtype=self.dtype_policy,
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        return self.norm(self.dense(inputs), training=training)
