"""What values a setting may have, in a form that checks read and help pages print."""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from typing import Any, Protocol


class Bound(Protocol):
    """Says whether a value is allowed; `str()` of it completes "must be ..."."""

    def allows(self, value: Any) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`, both of them allowed unless said otherwise."""

    low: float
    high: float = math.inf
    above_low: bool = False
    """Whether `low` itself is not allowed."""
    below_high: bool = False
    """Whether `high` itself is not allowed."""

    def allows(self, value: Any) -> bool:
        if not is_number(value):
            return False
        over = value > self.low if self.above_low else value >= self.low
        return over and (value < self.high if self.below_high else value <= self.high)

    def __str__(self) -> str:
        low = f"above {self.low:,g}" if self.above_low else f"at least {_shown(self.low)}"
        if self.high == math.inf:
            return low
        if not (self.above_low or self.below_high):
            return f"{_shown(self.low)} to {_shown(self.high)}"
        return f"{low} and {'below' if self.below_high else 'at most'} {_shown(self.high)}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def allows(self, value: Any) -> bool:
        return value in self.values and not isinstance(value, bool)

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"


@dataclasses.dataclass(frozen=True)
class RangeOr:
    """A range of whole numbers, or one of a few words."""

    range: Range
    words: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        return value in self.words if isinstance(value, str) else self.range.allows(value)

    def parse(self, text: str) -> int | str:
        """Raises ValueError where it is neither a word nor a whole number."""
        return text if text in self.words else int(text)

    def __str__(self) -> str:
        return f"{self.range}, or {', '.join(self.words)}"


@dataclasses.dataclass(frozen=True)
class Steps:
    """Steps of a run from the first to the last of them, counted from 1, as a text; or None."""

    def allows(self, value: Any) -> bool:
        if value is None:
            return True
        found = re.fullmatch(r"([1-9][0-9]{0,8}):([1-9][0-9]{0,8})", value)
        return found is not None and int(found[1]) <= int(found[2])

    def __str__(self) -> str:
        return "FIRST:LAST, two steps of the run counted from 1, such as 20:22"


# Bounds that a flag and a constructor share, and no other room on the ground floor owns.
MIN_CROP_AREA = Range(0.0, 1.0, above_low=True)  # share of an image
COLOR_JITTER_STRENGTH = Range(0.0, 2.5)  # hue turns by 0.2 of it, and half a turn is all there is
DISTILLATION_WEIGHT = Range(0.0, 1.0, above_low=True)
FEATURE_FILES = (".parquet", ".npy", ".csv")
CONTRASTIVE_LOSSES = OneOf(("nt_xent", "dcl", "supcon"))
OPTIMIZERS = OneOf(("momentum", "adam", "lars", "lamb", "adamw"))
SEED = Range(0, 2**32 - 1)  # a word of the key of the generator, see `simclr_tf.stateless`
TEMPERATURE = Range(0.0, above_low=True)


def is_number(value: Any) -> bool:
    """Says whether `value` is a finite number, NumPy's too; a bool is none."""
    if is_whole(value):
        return True  # of any size, where isfinite fails
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Says whether `value` is an integer, NumPy's too; a bool is none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_argument(name: str, value: Any, bound: Bound, *, whole: bool = False) -> None:
    """Raises ValueError, with its name and value, for a constructor's argument out of bounds.

    Args:
      name: of the argument.
      value: of the argument.
      bound: says which values are allowed.
      whole: whether only integers are.
    """
    if not bound.allows(value) or (whole and not is_whole(value)):
        raise ValueError(f"{name}={value!r} must be {'a whole number, ' if whole else ''}{bound}")


def _shown(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"
