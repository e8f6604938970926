"""The parts of a ResNet: convolutions, shortcuts, selective kernels, squeeze-excitation, blocks.

Inside a layer the attributes are assigned in the order of the reference's TF2 release, so that of
an unfrozen ResNet `trainable_variables + non_trainable_variables` are, one by one, what it saves
as `resnet_model/variables/0`, `1` and so on.
"""

from __future__ import annotations

from typing import Any, Protocol

import tensorflow as tf

from simclr_tf.models.normalization import BatchNormRelu, normalize_together


class MakeNorm(Protocol):
    """Makes a BatchNormRelu; `functools.partial(BatchNormRelu, global_bn=..., momentum=...)`."""

    def __call__(self, *, relu: bool = True, init_zero: bool = False) -> BatchNormRelu: ...


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class FixedPaddingConv2D(tf.keras.layers.Conv2D):
    """A convolution without bias whose padding does not depend on the size of its input.

    SAME padding with a stride pads even and odd inputs differently. Here `kernel_size - 1` zeros
    are split over both sides, the odd one at the end.

    Args:
      filters: Number of output channels.
      kernel_size: Height and width of the kernel.
      strides: Step in both directions.
      **kwargs: What tf.keras.layers.Conv2D takes.
    """

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any) -> None:
        settings = {
            "padding": "same" if strides == 1 else "valid",
            "use_bias": False,
            "kernel_initializer": tf.keras.initializers.VarianceScaling(),
        }
        super().__init__(filters, kernel_size, strides, **{**settings, **kwargs})

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.padding == "valid" and self.kernel_size[0] > 1:
            inputs = pad_fixed(inputs, self.kernel_size[0])
        return super().call(inputs)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        step = self.strides[0]
        if self.kernel_size[0] == 1 and step > 1 and inputs.shape[-1] < 16:
            # oneDNN's gradient of a strided 1x1 kernel is wrong for 6 input channels and fewer
            # (TensorFlow 2.15 and 2.21 on CPUs with AVX2). Same numbers, without the stride:
            return tf.nn.conv2d(inputs[:, ::step, ::step], kernel, 1, "VALID")
        return super().convolution_op(inputs, kernel)


def pad_fixed(images: tf.Tensor, kernel_size: int) -> tf.Tensor:
    """Pads height and width of [batch, height, width, channels] by `kernel_size - 1` zeros."""
    before = (kernel_size - 1) // 2
    after = kernel_size - 1 - before
    return tf.pad(images, [[0, 0], [before, after], [before, after], [0, 0]])


def squeezed_width(filters: int, sk_ratio: float) -> int:
    """Returns the width of a selective kernel's bottleneck in a block of so many filters."""
    return max(int(filters * sk_ratio), 32)


def reduced_width(filters: int, se_ratio: float) -> int:
    """Returns the width of squeeze-and-excitation's bottleneck in a block of so many filters."""
    return max(1, int(filters * se_ratio))


def mean_over_space(images: tf.Tensor, keepdims: bool = False) -> tf.Tensor:
    """Averages [batch, height, width, channels] over height and width, 16-bit floats in float32."""
    wide = tf.cast(images, tf.float32) if images.dtype.size == 2 else images
    return tf.cast(tf.reduce_mean(wide, [1, 2], keepdims), images.dtype)


class SelectiveKernelConv2D(tf.keras.layers.Layer):
    """Two 3x3 streams, mixed per channel by a softmax over their pooled sum.

    Source: SKNets, https://arxiv.org/abs/1903.06586, with two equal kernels as in SimCLRv2.

    Args:
      filters: Number of output channels.
      strides: Step of the 3x3 convolutions.
      sk_ratio: Width of the mixing bottleneck over `filters`; it is 32 or more.
      norm: Makes the normalization layers.
    """

    def __init__(self, filters: int, strides: int, sk_ratio: float, norm: MakeNorm) -> None:
        super().__init__()
        self.streams = FixedPaddingConv2D(2 * filters, 3, strides)
        self.streams_norm = norm()
        self.squeeze = FixedPaddingConv2D(squeezed_width(filters, sk_ratio), 1)
        self.squeeze_norm = norm()
        self.mix = FixedPaddingConv2D(2 * filters, 1)

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        streams = self.streams_norm(self.streams(inputs), training=training)
        first, second = tf.split(streams, 2, axis=-1)
        pooled = mean_over_space(first + second, keepdims=True)
        pooled = self.squeeze_norm(self.squeeze(pooled), training=training)
        mixing = tf.nn.softmax(tf.stack(tf.split(self.mix(pooled), 2, axis=-1)), axis=0)
        return first * mixing[0] + second * mixing[1]


class SqueezeExcitation(tf.keras.layers.Layer):
    """Scales each channel by a gate computed from the pooled image.

    Source: https://arxiv.org/abs/1709.01507.

    Args:
      channels: Channels of the input.
      bottleneck: Width between the two 1x1 convolutions.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.reduce = FixedPaddingConv2D(bottleneck, 1, use_bias=True, activation="relu")
        self.expand = FixedPaddingConv2D(channels, 1, use_bias=True, activation="sigmoid")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * self.expand(self.reduce(mean_over_space(inputs, keepdims=True)))


class ProjectionShortcut(tf.keras.layers.Layer):
    """Brings a block's input to the shape of its output: a 1x1 convolution, then normalization.

    Args:
      filters: Number of output channels.
      strides: Step.
      average: Average 2x2 pixels and convolve with stride 1, instead of skipping pixels
        (ResNet-D, https://arxiv.org/abs/1812.01187).
      norm: Makes the normalization layers.
    """

    def __init__(self, filters: int, strides: int, average: bool, norm: MakeNorm) -> None:
        super().__init__()
        self.average = average
        self.strides = strides
        self.conv = FixedPaddingConv2D(filters, 1, 1 if average else strides)
        self.norm = norm(relu=False)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Does the convolution; the block that the shortcut belongs to calls `norm`."""
        if self.average and self.strides > 1:
            inputs = tf.nn.avg_pool2d(pad_fixed(inputs, 2), 2, self.strides, "VALID")
        elif self.average:
            inputs = tf.nn.avg_pool2d(inputs, 2, 1, "SAME")
        return self.conv(inputs)


def _normalize_beside(
    shortcut: ProjectionShortcut | None,
    inputs: tf.Tensor,
    norm: BatchNormRelu,
    hidden: tf.Tensor,
    training: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the normalized `hidden`, and what the shortcut makes of the block's inputs."""
    if shortcut is None:
        return norm(hidden, training=training), inputs
    both = [hidden, shortcut(inputs)]
    hidden, beside = normalize_together([norm, shortcut.norm], both, training)
    return hidden, beside


class ResidualBlock(tf.keras.layers.Layer):
    """Two 3x3 convolutions beside a shortcut (ResNet-18 and 34).

    Args:
      filters: Number of output channels.
      strides: Step of the first convolution and of the shortcut.
      project: Put a ProjectionShortcut on the shortcut, which is the identity otherwise.
      sk_ratio: Above 0 makes the shortcut a ResNet-D one. As in the reference, only bottleneck
        blocks have selective kernels.
      se_ratio: Above 0 adds SqueezeExcitation with a bottleneck of `filters * se_ratio`.
      norm: Makes the normalization layers.
    """

    expansion = 1

    def __init__(
        self,
        filters: int,
        strides: int,
        *,
        project: bool,
        sk_ratio: float,
        se_ratio: float,
        norm: MakeNorm,
    ) -> None:
        super().__init__()
        self.conv1 = FixedPaddingConv2D(filters, 3, strides)
        self.norm1 = norm()
        self.conv2 = FixedPaddingConv2D(filters, 3)
        self.norm2 = norm(relu=False, init_zero=True)
        self.shortcut = (
            ProjectionShortcut(filters, strides, sk_ratio > 0, norm) if project else None
        )
        self.excitation = (
            SqueezeExcitation(filters, reduced_width(filters, se_ratio)) if se_ratio > 0 else None
        )

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        hidden = self.norm1(self.conv1(inputs), training=training)
        hidden = self.conv2(hidden)
        hidden, inputs = _normalize_beside(self.shortcut, inputs, self.norm2, hidden, training)
        if self.excitation is not None:
            hidden = self.excitation(hidden)
        return tf.nn.relu(hidden + inputs)


class BottleneckBlock(tf.keras.layers.Layer):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (ResNet-50 and deeper).

    The middle convolution is a SelectiveKernelConv2D when `sk_ratio` is above 0. Arguments as for
    ResidualBlock; the output has `4 * filters` channels.
    """

    expansion = 4

    def __init__(
        self,
        filters: int,
        strides: int,
        *,
        project: bool,
        sk_ratio: float,
        se_ratio: float,
        norm: MakeNorm,
    ) -> None:
        super().__init__()
        outputs = self.expansion * filters
        self.shortcut = (
            ProjectionShortcut(outputs, strides, sk_ratio > 0, norm) if project else None
        )
        self.conv1 = FixedPaddingConv2D(filters, 1)
        self.norm1 = norm()
        if sk_ratio > 0:
            self.conv2 = SelectiveKernelConv2D(filters, strides, sk_ratio, norm)
            self.norm2 = None  # A selective kernel normalizes inside.
        else:
            self.conv2 = FixedPaddingConv2D(filters, 3, strides)
            self.norm2 = norm()
        self.conv3 = FixedPaddingConv2D(outputs, 1)
        self.norm3 = norm(relu=False, init_zero=True)
        self.excitation = (
            SqueezeExcitation(outputs, reduced_width(filters, se_ratio)) if se_ratio > 0 else None
        )

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        hidden = self.norm1(self.conv1(inputs), training=training)
        if self.norm2 is None:
            hidden = self.conv2(hidden, training=training)
        else:
            hidden = self.norm2(self.conv2(hidden), training=training)
        hidden = self.conv3(hidden)
        hidden, inputs = _normalize_beside(self.shortcut, inputs, self.norm3, hidden, training)
        if self.excitation is not None:
            hidden = self.excitation(hidden)
        return tf.nn.relu(hidden + inputs)
