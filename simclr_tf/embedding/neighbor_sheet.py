"""A picture of queries, a row each, with the pictures that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

SIDE = 112
"""Pixels of a picture."""
_GAP, _LINE = 8, 14
_FRAME = "#e4572e"  # of queries
_CHARACTERS = 17  # of a line below a picture


class Cell(NamedTuple):
    """A picture and what stands below it, two lines.

    Attributes:
      pixels: uint8 [SIDE, SIDE, 3].
      name: of the picture.
      said: such as its label and similarity.
    """

    pixels: np.ndarray
    name: str
    said: str


def draw_neighbors(rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """Draws the rows; the first cell of each is the query, which gets a frame."""
    height, width = SIDE + 2 * _LINE + _GAP, SIDE + _GAP
    across = max(map(len, rows))
    sheet = Image.new("RGB", (across * width + 2 * _GAP, len(rows) * height + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            # A little apart from what was found for it.
            left, top = _GAP + column * width + (_GAP if column else 0), _GAP + row * height
            sheet.paste(Image.fromarray(cell.pixels), (left, top))
            if not column:
                corners = (left - 2, top - 2, left + SIDE + 1, top + SIDE + 1)
                pen.rectangle(corners, outline=_FRAME, width=2)
            # The end of a path tells files apart. The font has no letters beyond Latin 1.
            lines = (cell.name[-_CHARACTERS:], cell.said[:_CHARACTERS])
            for line, text in enumerate(lines):
                plain = text.encode("latin-1", "replace").decode("latin-1")
                pen.text((left, top + SIDE + line * _LINE), plain, fill="black")
    return sheet
