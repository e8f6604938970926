"""Pictures as parts of one, which the page holds as text."""

from __future__ import annotations

import base64
import io
import math
from html import escape

import numpy as np
from PIL import Image

SIDES = (8, 16, 24, 32, 48, 64, 96)
"""Pixels: multiples of a block of JPEG, so that no picture runs into its neighbor."""

_PIXELS = 6_000_000  # of a sheet: 5,000 pictures of 32 pixels fit
_LOSSLESS = 400_000  # bytes of a PNG file up to which it is taken
_TRIED = 3_000_000  # numbers up to which it is tried: seconds for more, and in vain
_MOST = 3_000_000  # bytes of a JPEG file
_QUALITIES = (85, 75, 60, 45, 30)
_COARSE = 48  # pictures below are shown as squares of their pixels


def choose_side(count: int, native: int) -> int:
    """Returns how large pictures are drawn: no larger than they are, and so that all fit.

    Args:
      count: of them.
      native: their side as they are stored.
    """
    wanted = next((side for side in SIDES if side >= native), SIDES[-1])
    fitting = [side for side in SIDES if side <= wanted and count * side**2 <= _PIXELS]
    return fitting[-1] if fitting else SIDES[0]


class Sheet:
    """Pictures of one size, each of which the page shows as a part of the whole.

    Args:
      name: of the CSS class.
      pictures: uint8 [n, side, side, 3], one at least.
    """

    def __init__(self, name: str, pictures: np.ndarray) -> None:
        self.name, self._count, self._side = name, len(pictures), pictures.shape[1]
        self.across = math.ceil(math.sqrt(self._count))
        self.down = math.ceil(self._count / self.across)
        self._file = _encode(self._lay_out(pictures))

    def css(self) -> str:
        """Returns the rule of its class."""
        coarse = "image-rendering:pixelated;" if self._side < _COARSE else ""
        return (
            f".{self.name}{{background-image:url({self._file});"
            f"background-size:{100 * self.across}% {100 * self.down}%;{coarse}}}"
        )

    def tile(self, number: int, said: str, kind: str = "") -> str:
        """Returns a picture of it as HTML.

        Args:
          number: which one.
          said: what it shows, plain text.
          kind: more CSS classes.
        """
        row, column = divmod(number, self.across)
        place = f"{_percent(column, self.across)} {_percent(row, self.down)}"
        text = escape(said)
        return (
            f'<span class="tile {self.name} {kind}" role="img" aria-label="{text}" title="{text}" '
            f'style="background-position:{place}"></span>'
        )

    def _lay_out(self, pictures: np.ndarray) -> np.ndarray:
        side = self._side
        whole = np.zeros([self.down * self.across, side, side, 3], np.uint8)
        whole[: self._count] = pictures
        rows = whole.reshape(self.down, self.across, side, side, 3).transpose(0, 2, 1, 3, 4)
        return rows.reshape(self.down * side, self.across * side, 3)


def _encode(pixels: np.ndarray) -> str:
    """Returns a PNG file if that is small, else a JPEG file, as a data URI."""
    if pixels.size <= _TRIED:
        content = _save(pixels, "PNG", optimize=True)
        if len(content) <= _LOSSLESS:
            return _data_uri("png", content)
    for quality in _QUALITIES:
        content = _save(pixels, "JPEG", quality=quality, subsampling=0)
        if len(content) <= _MOST:
            break
    return _data_uri("jpeg", content)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _save(pixels: np.ndarray, form: str, **settings: int | bool) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, form, **settings)
    return content.getvalue()


def _percent(place: int, count: int) -> str:
    """Returns where a picture of several lies, as CSS counts: the last one is at 100%."""
    return f"{100 * place / (count - 1):.6g}%" if count > 1 else "0%"
