"""Draws the tables of docs/scaling.md and docs/large_batches.md: what a large batch takes.

    python benchmarks/plot.py

writes docs/large_batches.png. It draws what the tables say, and measures nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

DOCS = Path(__file__).parents[1] / "docs"
_COLORS = {"simclr_tf": "C0", "the reference release": "C1", "its matrix products alone": "C7"}

Points = dict[str, list[tuple[float, float]]]
"""Of each contender, sizes and figures."""


def rows_of(page: str, heading: str) -> list[dict[str, str]]:
    """Returns the first table behind a heading of a page, a dictionary a row."""
    lines = (DOCS / page).read_text().split(heading, 1)[1].splitlines()
    table = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif table:
            break
    header, _, *rows = table
    return [dict(zip(header, row, strict=True)) for row in rows]


def losses(column: str) -> Points:
    """Returns a column of the loss's table against the number of pairs."""
    points: Points = {}
    for row in rows_of("scaling.md", "## The loss of a large batch"):
        for name in _COLORS:
            figure = re.fullmatch(r"([\d.]+) s, ([\d.]+) GiB", row.get(name, ""))
            if figure:
                value = float(figure["seconds, GiB".split(", ").index(column) + 1])
                points.setdefault(name, []).append((number(row["pairs"]), value))
    return points


def steps(column: str) -> Points:
    """Returns a column of the step's table against the batch."""
    points: Points = {}
    for row in rows_of("large_batches.md", "## What it takes"):
        name = "the reference release" if "reference" in row[""] else "simclr_tf"
        if row[column]:
            points.setdefault(name, []).append((number(row["batch"]), number(row[column])))
    return points


def number(text: str) -> float:
    """Returns the number that a cell begins with."""
    return float(re.match(r"[\d.,]+", text)[0].replace(",", ""))


def main() -> None:
    """Draws four panels."""
    panels = [
        ("the loss alone: seconds, forward and backward", losses("seconds"), "pairs", True),
        ("the loss alone: memory beside its input (GiB)", losses("GiB"), "pairs", True),
        ("a step of ResNet-18, 128 pairs at a time: pairs/s", steps("pairs/s"), "batch", False),
        ("the same: memory of the process (GiB)", steps("memory"), "batch", False),
    ]
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    for axis, (title, points, size, logarithmic) in zip(figure.subplots(2, 2).flat, panels):
        for name, pairs in points.items():
            axis.plot(*zip(*sorted(pairs)), marker="o", color=_COLORS[name], label=name)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xscale("log", base=2)
        if logarithmic:
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.15 * max(y for pairs in points.values() for _, y in pairs))
        sizes = sorted({x for pairs in points.values() for x, _ in pairs})
        axis.xaxis.set_major_locator(FixedLocator(sizes))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_xlabel(size)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False)
    FigureCanvasAgg(figure).print_png(DOCS / "large_batches.png")


if __name__ == "__main__":
    main()
