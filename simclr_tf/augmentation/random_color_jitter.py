"""Brightness, contrast, saturation and hue, changed in random order."""

from __future__ import annotations

import itertools
from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base
from simclr_tf.bounds import COLOR_JITTER_STRENGTH

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_ORDERS = tuple(itertools.permutations(range(4)))
_TINY = 1e-20


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class RandomColorJitter(base.StatelessAugmentationLayer):
    """Changes brightness, contrast, saturation and hue, in an order drawn for each image.

    SimCLR, appendix A ("color jitter"), as in the authors' v2 code: brightness multiplies; contrast
    spreads the values of a channel about their mean; saturation multiplies the S of HSV; hue turns
    its H. After each of the four the values are clipped to `value_range`. The three factors are
    uniform in [max(1 - 0.8 strength, 0), 1 + 0.8 strength], the turn is in
    [-0.2 strength, 0.2 strength] turns.

    Identity: `strength=0` or `probability=0`.

    Args:
      value_range: smallest and largest pixel value, for instance (0, 255). The smallest is black.
      strength: 1 for ImageNet, 0.5 for CIFAR.
      probability: of any change.
      seed: see `StatelessAugmentationLayer`.
      **kwargs: for keras-cv's base layer.

    Raises:
      ValueError: if `probability` is outside [0, 1], `strength` is outside [0, 2.5] (half a turn)
        or `value_range` is empty; when called, if images are not RGB.
    """

    word = "jitter"
    salt = 3
    draws = 6

    def __init__(
        self,
        value_range: tuple[float, float],
        strength: float = 1.0,
        probability: float = 0.8,
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.strength = float(strength)
        if not COLOR_JITTER_STRENGTH.allows(self.strength):
            raise ValueError(f"strength must be {COLOR_JITTER_STRENGTH}, got {strength}")
        self.value_range = base.check_value_range(value_range)
        self.probability = base.check_probability(probability)
        spread = 0.8 * self.strength
        self._factor_range = (max(1 - spread, 0.0), 1 + spread)
        self._hue_range = (-0.2 * self.strength, 0.2 * self.strength)

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> base.Transformations:
        """Draws what happens to each image.

        Returns:
          `apply`, bool `[batch]`; `order`, int32 `[batch, 4]`, which of brightness (0), contrast
          (1), saturation (2) and hue (3) comes first, second, third and last; the factors
          `brightness`, `contrast` and `saturation`, float32 `[batch]`; `hue`, float32 `[batch]`,
          in turns.
        """
        order = tf.cast(uniforms[:, 1] * len(_ORDERS), tf.int32)
        order = tf.minimum(order, len(_ORDERS) - 1)
        return {
            "apply": uniforms[:, 0] < self.probability,
            "order": tf.gather(tf.constant(_ORDERS, tf.int32), order),
            "brightness": base.scaled(uniforms[:, 2], self._factor_range),
            "contrast": base.scaled(uniforms[:, 3], self._factor_range),
            "saturation": base.scaled(uniforms[:, 4], self._factor_range),
            "hue": base.scaled(uniforms[:, 5], self._hue_range),
        }

    def augment_lines(self, lines: tf.Tensor, transformations: base.Transformations) -> tf.Tensor:
        base.check_rgb(lines)
        if self.strength == 0 or self.probability == 0:
            return lines
        black, white = self.value_range

        def jitter() -> tf.Tensor:
            # From black = 0 on, the four operations commute with a scale: white may be anything.
            return _jitter(lines - black, transformations, white - black) + black

        return base.change_where(transformations["apply"], jitter, lines)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "strength": self.strength,
            "probability": self.probability,
        }


def _jitter(lines: tf.Tensor, drawn: base.Transformations, white: float) -> tf.Tensor:
    """Applies the four operations to `lines`, float32 `[batch, H, 3, W]`, black being 0.

    Saturation and hue commute, since both keep the largest channel and neither leaves the range. So
    their order matters only against brightness and contrast, and each belongs to one of three gaps:
    before, between or after these two. Brightness and contrast are one formula.
    """
    order, apply = drawn["order"], drawn["apply"]
    spreads = tf.cast((order == BRIGHTNESS) | (order == CONTRAST), tf.int32)
    gaps = tf.cumsum(spreads, axis=1, exclusive=True)
    saturation_gap = tf.reduce_sum(tf.where(order == SATURATION, gaps, 0), axis=1)
    hue_gap = tf.reduce_sum(tf.where(order == HUE, gaps, 0), axis=1)
    brightness_first = tf.reduce_any((order == BRIGHTNESS) & (gaps == 0), axis=1)

    def shift(gap: int, lines: tf.Tensor) -> tf.Tensor:
        saturate, turn = saturation_gap == gap, hue_gap == gap
        saturation = tf.where(saturate, drawn["saturation"], 1.0)
        hue = tf.where(turn, drawn["hue"], 0.0)
        return base.where_any(
            apply & (saturate | turn),
            lambda: _shift_saturation_and_hue(lines, saturation, hue, white),
            lines,
        )

    def spread(lines: tf.Tensor, by_brightness: tf.Tensor) -> tf.Tensor:
        factor = tf.where(by_brightness, drawn["brightness"], drawn["contrast"])
        return _spread(lines, factor, by_brightness, white)

    lines = spread(shift(0, lines), brightness_first)
    lines = spread(shift(1, lines), ~brightness_first)
    return shift(2, lines)


def _spread(lines: tf.Tensor, factor: tf.Tensor, about_black: tf.Tensor, white: float) -> tf.Tensor:
    """Multiplies the distance from black, or else from each channel's mean, and clips."""
    # Rows first: XLA adds whole rows many numbers at a time, but a row's own numbers one by one.
    rows = tf.reduce_sum(lines, axis=1, keepdims=True)
    count = tf.cast(tf.shape(lines)[1] * tf.shape(lines)[3], tf.float32)
    mean = tf.reduce_sum(rows, axis=3, keepdims=True) / count
    factor = factor[:, tf.newaxis, tf.newaxis, tf.newaxis]
    about_black = about_black[:, tf.newaxis, tf.newaxis, tf.newaxis]
    lines = lines * factor + tf.where(about_black, 0.0, mean * (1 - factor))
    return tf.clip_by_value(lines, 0.0, white)


def _shift_saturation_and_hue(
    lines: tf.Tensor, factor: tf.Tensor, turns: tf.Tensor, white: float
) -> tf.Tensor:
    """Multiplies S, up to 1, and turns H by at most half a turn, without leaving RGB.

    In HSV a channel is V - chroma * (1 - ramp(H)), where ramp is the channel's share, from 0 to 1:
    so V, the chroma (V times S) and H, in sixths of a turn, are all that is needed. H is kept
    multiplied by the chroma, which saves divisions: a sixth of a turn is one chroma.
    """
    factor = factor[:, tf.newaxis, tf.newaxis]
    sixths = 6 * turns[:, tf.newaxis, tf.newaxis]
    red, green, blue = tf.unstack(lines, axis=2)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    # Gray has no hue; any will do, because its chroma is 0.
    factor = tf.minimum(factor, value / tf.maximum(chroma, _TINY))
    is_red, is_green = red >= value, green >= value
    within = tf.where(is_red, green - blue, tf.where(is_green, blue - red, red - green))
    sector = tf.where(is_red, 0.0, tf.where(is_green, 2.0, 4.0))
    chroma *= factor
    hue = within * factor + (sector + sixths) * chroma
    turn = 6 * chroma
    hue = tf.where(hue < 0, hue + turn, hue)
    hue = tf.where(hue > turn, hue - turn, hue)
    low = value - chroma
    shifted = tf.stack(
        [
            low + tf.clip_by_value(tf.abs(hue - 3 * chroma) - chroma, 0.0, chroma),
            low + tf.clip_by_value(2 * chroma - tf.abs(hue - 2 * chroma), 0.0, chroma),
            low + tf.clip_by_value(2 * chroma - tf.abs(hue - 4 * chroma), 0.0, chroma),
        ],
        axis=2,
    )
    return tf.clip_by_value(shifted, 0.0, white)  # rounding may leave the range
