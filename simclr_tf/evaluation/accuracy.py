"""Accuracies in words: beside each stands on how many images it was measured."""

from __future__ import annotations

import math

MANY = 1000
"""Test images from which on the interval is left out."""

_Z = 1.959964  # of 95 % of a normal distribution


def wilson_interval(accuracy: float, count: int) -> tuple[float, float]:
    """Returns the 95% interval of the accuracy on all images of the kind that was tested.

    It is Wilson's score interval (1927; compared with others by Brown, Cai and DasGupta, 2001),
    which holds for a handful of images, too. It knows nothing of how training varies.

    Args:
      accuracy: on the test images, 0 to 1.
      count: of the test images.
    """
    share = _Z**2 / count
    center = (accuracy + share / 2) / (1 + share)
    half = math.sqrt(share * accuracy * (1 - accuracy) + share**2 / 4) / (1 + share)
    return max(0.0, center - half), min(1.0, center + half)


def describe_accuracy(accuracy: float, count: int, *, deviation: float | None = None) -> str:
    """Returns `57.14% (4 of 7; 95% interval 25-84%)`, without the interval from 1,000 images on.

    Args:
      accuracy: on the test images, 0 to 1; or a mean of several on the same images.
      count: of the test images.
      deviation: of those that it is the mean of, None where it is a single one.
    """
    if deviation is None:
        text = f"{accuracy:.2%} ({round(accuracy * count):,} of {count:,}"
    else:
        text = f"{accuracy:.2%} +- {deviation:.2%} ({count:,} test images"
    if count < MANY:
        low, high = wilson_interval(accuracy, count)
        text += f"; 95% interval {100 * low:.0f}-{100 * high:.0f}%"
    return f"{text})"
