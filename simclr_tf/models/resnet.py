"""ResNet encoders: images in, features out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from simclr_tf.architecture import BOUNDS, FREEZE_AFTER, STEM_PADDING
from simclr_tf.bounds import check_argument
from simclr_tf.models.blocks import (
    BottleneckBlock,
    FixedPaddingConv2D,
    MakeNorm,
    ResidualBlock,
    mean_over_space,
    pad_fixed,
)
from simclr_tf.models.normalization import BatchNormRelu
from simclr_tf.models.precision import under_policy

# Depth -> (block, blocks in each of the four groups).
LAYOUTS: dict[int, tuple[type[ResidualBlock | BottleneckBlock], tuple[int, ...]]] = {
    18: (ResidualBlock, (2, 2, 2, 2)),
    34: (ResidualBlock, (3, 4, 6, 3)),
    50: (BottleneckBlock, (3, 4, 6, 3)),
    101: (BottleneckBlock, (3, 4, 23, 3)),
    152: (BottleneckBlock, (3, 8, 36, 3)),
    200: (BottleneckBlock, (3, 24, 36, 3)),
}


def scale_width(filters: int, width_multiplier: float) -> int:
    """Returns `filters * width_multiplier`, rounded to a whole number of 1 or more."""
    return max(1, round(filters * width_multiplier))


class Stem(tf.keras.layers.Layer):
    """What comes before the block groups: 1/4 of the image's height and width, or all of it.

    Args:
      filters: Number of output channels.
      cifar_stem: One 3x3 convolution, no pooling: for images of some 32 pixels.
      deep: Three 3x3 convolutions instead of one of 7x7 (ResNet-D). Not with `cifar_stem`.
      pad_pool: Pad both sides of what is pooled, as PyTorch does. SAME padding starts with the
        end, where one row and column are enough.
      norm: Makes the normalization layers.
      relu: Rectify the result; needed where it is pooled.
      padding: Pixels of zeros around images before the convolution of `cifar_stem`.
    """

    def __init__(
        self,
        filters: int,
        *,
        cifar_stem: bool,
        deep: bool,
        pad_pool: bool,
        norm: MakeNorm,
        relu: bool,
        padding: int,
    ) -> None:
        super().__init__(name="stem")
        self.more_padding = padding - 1
        self.pool = not cifar_stem
        self.pad_pool = pad_pool
        self.layers = []
        if cifar_stem:
            self.layers.append(FixedPaddingConv2D(filters, 3))
        elif deep:
            half = max(1, filters // 2)
            self.layers += [FixedPaddingConv2D(half, 3, 2), norm()]
            self.layers += [FixedPaddingConv2D(half, 3), norm()]
            self.layers.append(FixedPaddingConv2D(filters, 3))
        else:
            self.layers.append(FixedPaddingConv2D(filters, 7, 2))
        self.norm = norm(relu=relu)

    def call(self, images: tf.Tensor, training: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the last convolution's output, and that normalized, rectified and pooled."""
        hidden = images
        if self.more_padding:
            more = [self.more_padding] * 2
            hidden = tf.pad(hidden, [[0, 0], more, more, [0, 0]])
        for layer in self.layers:
            norm = isinstance(layer, BatchNormRelu)
            hidden = layer(hidden, training=training) if norm else layer(hidden)
        pooled = self.norm(hidden, training=training)
        if self.pool and self.pad_pool:  # with zeros, which never win: all is 0 or above
            pooled = tf.nn.max_pool2d(pad_fixed(pooled, 3), 3, 2, "VALID")
        elif self.pool:
            pooled = tf.nn.max_pool2d(pooled, 3, 2, "SAME")
        return hidden, pooled


class BlockGroup(tf.keras.layers.Layer):
    """Blocks one after another; the first changes resolution and width."""

    def __init__(self, blocks: list[tf.keras.layers.Layer], name: str) -> None:
        super().__init__(name=name)
        self.blocks = blocks

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        for block in self.blocks:
            inputs = block(inputs, training=training)
        return inputs


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class ResNet(tf.keras.Model):
    """A residual network with normalization after each convolution and no classifier.

    Source: https://arxiv.org/abs/1512.03385, with the changes of SimCLR v1 (wider) and v2
    (https://arxiv.org/abs/2006.10029: selective kernels together with the stem and shortcuts of
    ResNet-D). The last `gamma` of each block starts at zero, so that blocks start as identities.

    Args:
      depth: 18, 34, 50, 101, 152 or 200.
      width_multiplier: Factor on the number of channels: 1, 2, 3, or a fraction to experiment
        with (0.25 makes 16 channels of 64). Rounded to whole channels.
      sk_ratio: Above 0 uses selective kernels, whose mixing bottleneck has this share of the
        block's channels but 32 or more; the papers use 0.0625. Depths 18 and 34 only get
        ResNet-D's stem and shortcuts.
      se_ratio: Above 0 adds squeeze-excitation with this share of the block's channels.
      cifar_stem: Keep the resolution in the stem: for images of 32 pixels or fewer.
      global_bn: Share batch statistics between replicas.
      batch_norm_momentum: Share of the old moving statistics that a training step keeps.
      torch_normalization: Six numbers make the network torchvision's: it normalizes images by
        the first three, the mean of each color, and the last three, the standard deviation;
        it pads as PyTorch does; and where a group keeps the shape, as the first one of depth
        18 and 34, its shortcut is the identity.
      stem_relu: Rectify what the stem returns. Not doing so needs `cifar_stem`.
      stem_padding: Pixels of zeros around images before a 3x3 stem. 1 keeps the resolution, more
        needs `cifar_stem`.
      name: Name of the layer.

    Raises:
      ValueError: If `depth` is none of the above, or another argument is out of its range.
    """

    def __init__(
        self,
        depth: int,
        *,
        width_multiplier: float = 1,
        sk_ratio: float = 0.0,
        se_ratio: float = 0.0,
        cifar_stem: bool = False,
        global_bn: bool = True,
        batch_norm_momentum: float = 0.9,
        torch_normalization: Sequence[float] | None = None,
        stem_relu: bool = True,
        stem_padding: int = 1,
        name: str = "resnet",
    ) -> None:
        super().__init__(name=name)
        check_argument("depth", depth, BOUNDS["resnet_depth"])
        check_argument("width_multiplier", width_multiplier, BOUNDS["width_multiplier"])
        check_argument("sk_ratio", sk_ratio, BOUNDS["sk_ratio"])
        check_argument("se_ratio", se_ratio, BOUNDS["se_ratio"])
        if torch_normalization is not None:
            torch_normalization = tuple(torch_normalization)
        self._arguments = {
            "depth": depth,
            "width_multiplier": width_multiplier,
            "sk_ratio": sk_ratio,
            "se_ratio": se_ratio,
            "cifar_stem": cifar_stem,
            "global_bn": global_bn,
            "batch_norm_momentum": batch_norm_momentum,
            "torch_normalization": torch_normalization,
            "stem_relu": stem_relu,
            "stem_padding": stem_padding,
            "name": name,
        }
        if not (stem_relu or cifar_stem):
            raise ValueError("stem_relu=False goes with cifar_stem=True only")
        check_argument("stem_padding", stem_padding, STEM_PADDING, whole=True)
        if stem_padding != 1 and not cifar_stem:
            raise ValueError(f"stem_padding={stem_padding} goes with cifar_stem=True only")
        self._torch_normalization = torch_normalization
        self._frozen_after = -1
        norm = functools.partial(BatchNormRelu, global_bn=global_bn, momentum=batch_norm_momentum)
        self.stem = Stem(
            scale_width(64, width_multiplier),
            cifar_stem=cifar_stem,
            deep=sk_ratio > 0,
            pad_pool=torch_normalization is not None,
            norm=norm,
            relu=stem_relu,
            padding=stem_padding,
        )
        block, counts = LAYOUTS[depth]
        self.block_groups = []
        for index, count in enumerate(counts):
            filters = scale_width(64 * 2**index, width_multiplier)
            keeps_shape = index == 0 and block.expansion == 1
            blocks = [
                block(
                    filters,
                    2 if index > 0 and position == 0 else 1,
                    project=position == 0 and not (keeps_shape and torch_normalization),
                    sk_ratio=sk_ratio,
                    se_ratio=se_ratio,
                    norm=norm,
                )
                for position in range(count)
            ]
            self.block_groups.append(BlockGroup(blocks, name=f"block_group{index + 1}"))
        self.features_dim: int = filters * block.expansion

    def call(self, images: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Returns the features [batch, features_dim], in the compute dtype, of `images`.

        Args:
          images: float32 [batch, height, width, 3] in [0, 1].
          training: Normalize with the statistics of this batch and update the moving ones.
        """
        return self.endpoints(images, training=training)["final_avg_pool"]

    def endpoints(self, images: tf.Tensor, training: Any = None) -> dict[str, tf.Tensor]:
        """Returns what `call` computes on its way, by the reference's names.

        Args:
          images: As for `call`.
          training: As for `call`.

        Returns:
          `initial_conv`, the stem before normalization; `initial_max_pool`, after normalization,
          ReLU and, but for `cifar_stem`, pooling; `block_group1` to `block_group4`, all
          [batch, height, width, channels]; `final_avg_pool` [batch, features_dim].
        """
        ends: dict[str, tf.Tensor] = {}
        if self._torch_normalization is not None:
            mean, deviation = tf.split(tf.constant(self._torch_normalization), 2)
            images = (tf.cast(images, tf.float32) - mean) / deviation
        ends["initial_conv"], hidden = self.stem(images, training=training)
        ends["initial_max_pool"] = hidden = self._stop(hidden, after=0)
        for index, group in enumerate(self.block_groups, start=1):
            hidden = self._stop(group(hidden, training=training), after=index)
            ends[f"block_group{index}"] = hidden
        ends["final_avg_pool"] = mean_over_space(hidden)
        return ends

    def freeze(self, after_block: int) -> None:
        """Freezes the stem and the first block groups; what follows is trained.

        Frozen layers keep weights and moving statistics bit for bit, also with `training=True`,
        and no gradient is computed for them. Functions that were traced before, `fit` of a
        compiled model among them, do not notice: freeze first.

        Args:
          after_block: -1 freezes nothing (and thaws everything), 0 the stem, 1 to 4 the stem
            and as many block groups: the reference's `fine_tune_after_block`.

        Raises:
          ValueError: If `after_block` is not in -1 to 4.
        """
        check_argument("after_block", after_block, FREEZE_AFTER, whole=True)
        self._frozen_after = after_block
        for index, layer in enumerate(self._stages()):
            layer.trainable = index > after_block

    def _stages(self) -> list[tf.keras.layers.Layer]:
        return [self.stem, *self.block_groups]

    def _stop(self, hidden: tf.Tensor, after: int) -> tf.Tensor:
        """Ends backpropagation where the frozen part ends, unless it was set trainable since."""
        frozen = not self._stages()[after].trainable
        return tf.stop_gradient(hidden) if frozen and after == self._frozen_after else hidden

    def get_config(self) -> dict[str, Any]:
        return {**self._arguments, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> ResNet:
        del custom_objects
        config = dict(config)
        with under_policy(config.pop("dtype")):
            return cls(**config)
