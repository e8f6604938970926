"""How the pixels of a picture file become RGB of eight bits. No TensorFlow here."""

from __future__ import annotations

import dataclasses
from typing import Any

from PIL import ImageColor

from simclr_tf.bounds import is_whole
from simclr_tf.errors import SettingError

RGB = tuple[int, int, int]

LARGEST_16 = 2**16 - 1


@dataclasses.dataclass(frozen=True)
class PixelRule:
    """One rule for all pictures of a run, stored with its weights.

    Attributes:
      alpha_background: the color on which transparent pictures are laid; None drops alpha and
        shows whatever color lies under it.
      range_16: the values of 16-bit pictures that become 0 and 255, at least 256 values apart. None
        where there were no such pictures: then their upper 8 bits count.
    """

    alpha_background: RGB | None = (255, 255, 255)
    range_16: tuple[int, int] | None = None

    @property
    def bounds_16(self) -> tuple[int, int]:
        """`range_16`, or all values."""
        return self.range_16 or (0, LARGEST_16)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON has them."""
        return {name: None if value is None else list(value) for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, content: Any) -> PixelRule:
        """Returns what `to_json` was made of, checked.

        Raises:
          SettingError: a field is missing or cannot be.
        """
        table = content if isinstance(content, dict) else {}
        fields = {}
        for name, length, most in (("alpha_background", 3, 255), ("range_16", 2, LARGEST_16)):
            value = table.get(name, ())
            if value is not None and not _are_whole(value, length, most):
                raise SettingError(name, value, "cannot be")
            fields[name] = None if value is None else tuple(value)
        rule = cls(**fields)
        if rule.bounds_16[1] - rule.bounds_16[0] < 255:
            raise SettingError("range_16", table["range_16"], "cannot be")
        return rule


WHITE = PixelRule()
# What runs did that stored no rule.
BEFORE = PixelRule(alpha_background=None, range_16=(0, LARGEST_16))


class Color:
    """A color that Pillow knows by name, or its red, green and blue; a bound of settings."""

    def allows(self, value: Any) -> bool:
        """Says whether `to_rgb` takes it."""
        try:
            return len(ImageColor.getrgb(value)) == 3
        except (ValueError, AttributeError, TypeError):
            return False

    def __str__(self) -> str:
        return "a color: a name, such as white, or #RRGGBB"

    @staticmethod
    def to_rgb(value: str) -> RGB:
        """Returns red, green and blue of a color that is allowed, 0 to 255."""
        red, green, blue = ImageColor.getrgb(value)[:3]
        return red, green, blue


def _are_whole(values: Any, length: int, most: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == length
        and all(is_whole(value) and 0 <= value <= most for value in values)
    )
