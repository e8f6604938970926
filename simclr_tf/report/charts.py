"""Line charts as inline SVG; the script shows the values under the pointer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 340, 190
_TOP, _BOTTOM, _RIGHT = 10, 26, 12
_LETTER = 6.2  # pixels of a digit of the axes
_MARKED = 30  # points at most, each with a mark
_SHAPES = ("circle", "square", "triangle", "diamond")


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
      name: in the legend.
      x: ascending.
      y: of each.
      interval: from and to of each, None without.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    interval: Sequence[tuple[float, float]] | None = None


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart of lines over one axis.

    Attributes:
      title: with the unit.
      x_name: what the axis counts.
      lines: one at least, of one point at least.
      factor: by which values are multiplied to be shown.
      reference: a dashed line, what it means and its value; None without.
      log_x: whether the axis is logarithmic, with marks at all points.
      from_zero: whether 0 is shown: a small change then looks small.
      extent: of the axis at least, None for that of the points.
    """

    title: str
    x_name: str
    lines: Sequence[Line]
    factor: int = 1
    reference: tuple[str, float] | None = None
    log_x: bool = False
    from_zero: bool = True
    extent: tuple[float, float] | None = None

    def draw(self, number: int) -> tuple[str, dict[str, Any]]:
        """Returns HTML, and what the script is given of the chart.

        Args:
          number: of the chart on the page.
        """
        axes = _Axes(self)
        parts = [axes.grid()]
        if self.reference is not None:
            at = axes.y(self.reference[1])
            parts.append(f'<path class="reference" d="M{axes.left} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts += [axes.line(line, place) for place, line in enumerate(self.lines)]
        svg = (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" data-chart="{number}" tabindex="0" role="img" '
            f'aria-label="{escape(self._said())}">{"".join(parts)}'
            f'<path class="cursor" d="M0 {_TOP}V{_HEIGHT - _BOTTOM}"/></svg>'
        )
        html = (
            f'<figure class="chart"><figcaption>{escape(self.title)}</figcaption>{svg}'
            f"{self._legend()}</figure>"
        )
        return html, self._data(axes)

    def _data(self, axes: _Axes) -> dict[str, Any]:
        return {
            "x_name": self.x_name,
            "factor": self.factor,
            "lines": [
                {
                    "name": line.name,
                    "x": list(line.x),
                    "y": list(line.y),
                    "at": [round(axes.x(x), 1) for x in line.x],
                }
                for line in self.lines
            ],
        }

    def _said(self) -> str:
        """Says in words what the chart shows, for who cannot see it."""
        ends = (
            f"{line.name}: {line.y[0] * self.factor:.4g} at {line.x[0]:,}, "
            f"{line.y[-1] * self.factor:.4g} at {line.x[-1]:,}"
            for line in self.lines
        )
        return f"{self.title} by {self.x_name}. {'; '.join(ends)}. Arrow keys show values."

    def _legend(self) -> str:
        keys = [
            f'<li><svg class="key" viewBox="0 0 26 12">'
            f'<path class="line s{place}" d="M1 6H25"/>{_mark(13, 6, place)}</svg>'
            f"{escape(line.name)}</li>"
            for place, line in enumerate(self.lines)
        ]
        if len(self.lines) == 1:
            keys = []
        if self.reference is not None:
            key = '<svg class="key" viewBox="0 0 26 12"><path class="reference" d="M1 6H25"/></svg>'
            shown = f"{self.reference[0]} {self.reference[1] * self.factor:.3g}"
            keys.append(f"<li>{key}{escape(shown)}</li>")
        return f'<ul class="keys">{"".join(keys)}</ul>' if keys else ""


class _Axes:
    """Where values lie in the picture."""

    def __init__(self, chart: Chart) -> None:
        self._chart, factor = chart, chart.factor
        values = [factor * y for line in chart.lines for y in line.y]
        for line in chart.lines:
            values += [factor * end for pair in line.interval or () for end in pair]
        if chart.reference is not None:
            values.append(factor * chart.reference[1])
        if chart.from_zero:
            values.append(0.0)
        self._ticks = ticks(min(values), max(values))
        self._xs = xs = sorted({x for line in chart.lines for x in line.x})
        ends = [*xs, *(chart.extent or ())]
        self._from, self._to = self._scale(min(ends)), self._scale(max(ends))
        self._written = write_ticks(self._ticks)
        self.left = 10 + _LETTER * max(map(len, self._written))
        if chart.log_x:  # names of the first mark lie on both sides
            self.left += 8

    def _scale(self, x: float) -> float:
        return math.log(max(x, 1)) if self._chart.log_x else x

    def x(self, value: float) -> float:
        inset = 12 if self._chart.log_x else 0
        width = _WIDTH - _RIGHT - self.left - 2 * inset
        extent = self._to - self._from
        share = (self._scale(value) - self._from) / extent if extent else 0.5
        return self.left + inset + width * share

    def y(self, value: float) -> float:
        low, high = self._ticks[0], self._ticks[-1]
        share = (self._chart.factor * value - low) / (high - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * share

    def grid(self) -> str:
        parts = []
        for tick, text in zip(self._ticks, self._written):
            at = self.y(tick / self._chart.factor)
            parts.append(f'<path class="grid" d="M{self.left:.1f} {at:.1f}H{_WIDTH - _RIGHT}"/>')
            parts.append(f'<text class="y" x="{self.left - 5:.1f}" y="{at + 4:.1f}">{text}</text>')
        last = -math.inf
        marks = self._xs if self._chart.log_x else ticks(self._from, self._to, inside=True)
        for mark, text in zip(marks, write_ticks(marks)):
            at, half = self.x(mark), _LETTER * len(text) / 2
            if at - half < last + 6:
                continue
            last = at + half
            over = max(0.0, last - _WIDTH)  # no text leaves the picture
            parts.append(f'<text class="x" x="{at - over:.1f}" y="{_HEIGHT - 8}">{text}</text>')
        return "".join(parts)

    def line(self, line: Line, place: int) -> str:
        points = [(self.x(x), self.y(y)) for x, y in zip(line.x, line.y)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts = [f'<path class="line s{place}" d="M{path}"/>']
        for (x, _), (low, high) in zip(points, line.interval or ()):
            ends = f"M{x:.1f} {self.y(low):.1f}V{self.y(high):.1f}"
            parts.append(f'<path class="interval s{place}" d="{ends}"/>')
        if len(points) <= _MARKED:
            parts += [_mark(x, y, place) for x, y in points]
        return "".join(parts)


def ticks(low: float, high: float, *, inside: bool = False) -> list[float]:
    """Returns three to eight round numbers, at equal distances.

    Args:
      low: smallest value that is shown.
      high: largest.
      inside: whether they lie between both; else they enclose both.
    """
    if not low < high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first, last = low / step, high / step
    if inside:
        begin, end = math.ceil(first - 1e-9), math.floor(last + 1e-9)
    else:
        begin, end = math.floor(first + 1e-9), math.ceil(last - 1e-9)
    return [step * place for place in range(begin, end + 1)]


def write_ticks(values: Sequence[float]) -> list[str]:
    """Returns numbers with as many digits as tell them apart."""
    for digits in range(7):
        texts = [f"{value:,.{digits}f}" for value in values]
        exact = all(
            math.isclose(float(text.replace(",", "")), value, rel_tol=1e-9, abs_tol=1e-12)
            for text, value in zip(texts, values)
        )
        if exact:
            return ["0" if value == 0 else text for value, text in zip(values, texts)]
    return [f"{value:.2g}" for value in values]


def _mark(x: float, y: float, place: int) -> str:
    """Returns a mark whose shape tells lines apart, too."""
    shape, size = _SHAPES[place % len(_SHAPES)], 2.6
    kind = f'class="mark s{place}"'
    if shape == "circle":
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "triangle": ((0, -1.3), (1.2, 1), (-1.2, 1)),
        "diamond": ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    }[shape]
    path = "L".join(f"{x + size * a:.1f} {y + size * b:.1f}" for a, b in corners)
    return f'<path {kind} d="M{path}Z"/>'
