"""Which values the 16-bit pictures of a data set use."""

from __future__ import annotations

import dataclasses

import numpy as np

from simclr_tf.data.image_dataset import ImageDataset
from simclr_tf.pixel_rule import LARGEST_16

# Share of the values at each end that is left out: a few hot pixels must not decide. Of a sensor,
# they are a hundredth of a percent; what is bright and small in a picture is more than a tenth.
_LEFT_OUT = 0.001
_NARROWEST = 256  # values; fewer would make noise of rounding


@dataclasses.dataclass(frozen=True)
class PixelRange:
    """What is in use.

    Attributes:
      low: the lowest value.
      high: the highest value, at least 255 above.
      pictures: how many were looked at.
    """

    low: int
    high: int
    pictures: int

    def __str__(self) -> str:
        return f"{self.low:,} to {self.high:,} of a sample of {self.pictures}"


def measure_range(dataset: ImageDataset, split: str) -> PixelRange | None:
    """Returns the range in use in a sample of `split`, one for all; None without such pictures.

    Values of all pictures of the sample are thrown together, and a tenth of a percent is left out
    at each end: one range keeps how bright pictures are beside each other, where a range of each
    picture's own would lose it, and the smallest and largest value would be those of broken pixels.
    """
    samples = [sample for sample in dataset.sample_16_bit(split) if sample.size]
    if not samples:
        return None
    shares = [_LEFT_OUT, 1 - _LEFT_OUT]
    low, high = map(int, np.quantile(np.concatenate(samples), shares, method="nearest"))
    if high - low < _NARROWEST - 1:
        low = min(max(0, (low + high - _NARROWEST) // 2), LARGEST_16 + 1 - _NARROWEST)
        high = low + _NARROWEST - 1
    return PixelRange(low, high, len(samples))
