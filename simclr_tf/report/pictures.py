"""Sections of pictures: the map, queries with their nearest, confusions, augmented pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from simclr_tf.report.markup import Section, missing, paragraph
from simclr_tf.report.sheets import Sheet

_NOT_A_MEASURE = (
    "The map is a picture, not a measure: t-SNE keeps near neighbors near, but sizes of groups, "
    "gaps between them and their places mean nothing, and another seed gives another map."
)


@dataclasses.dataclass(frozen=True)
class Points:
    """Images of the map.

    Attributes:
      places: int [n, 2], from 0 to 1000.
      names: of each.
      labels: int [n], -1 for none.
      votes: int [n], the class that its neighbors vote for, -1 where nobody votes.
      near: int [n, k], the places of those that are nearest by their features.
      classes: their names, none without labels.
    """

    places: np.ndarray
    names: Sequence[str]
    labels: np.ndarray
    votes: np.ndarray
    near: np.ndarray
    classes: Sequence[str]


def map_section(points: Points, sheet: Sheet, *, note: str) -> tuple[Section, dict[str, Any]]:
    """Returns the map, and what the script is given of it.

    Args:
      points: to be shown.
      sheet: their pictures, called `s-map`.
      note: which images they are, and how they were laid out.
    """
    present = [int(label) for label in np.unique(points.labels)]
    parts = [paragraph(note), paragraph(_NOT_A_MEASURE, "note")]
    if points.classes:
        count = np.bincount(points.labels[points.labels >= 0], minlength=len(points.classes))
        keys = "".join(
            f'<li><button value="{label}" aria-pressed="true"><canvas aria-hidden="true"></canvas>'
            f"{escape(points.classes[label])} <small>{count[label]:,}</small></button></li>"
            for label in present
        )
        parts.append(f'<ul class="classes" aria-label="classes to show">{keys}</ul>')
        wrong = int(np.sum((points.votes >= 0) & (points.votes != points.labels)))
        parts.append(
            '<p><button class="all" value="1">all</button> <button class="all" value="0">none'
            '</button> &nbsp;<label class="only"><input type="checkbox" id="wrong"> only the '
            f"{wrong:,} of {len(points.labels):,} whose neighbors vote wrong</label></p>"
        )
    said = f"Map of {len(points.names):,} images. Arrow keys go from one to the next."
    parts.append(
        f'<div class="map"><div class="stage"><canvas id="points" tabindex="0" role="img" '
        f'aria-label="{said}"></canvas><div class="zoom"><button value="1.6" aria-label="zoom in">'
        '+</button><button value="0.625" aria-label="zoom out">−</button>'
        '<button value="0.001" aria-label="whole map" title="whole map">⤢</button></div></div>'
        '<div id="picked" aria-live="polite"><p class="empty note">Point at the map, or tap it: '
        "the picture, its label and its file are shown here, and lines lead to the five that are "
        "nearest by their features. On a zoomed map, drag.</p></div></div>"
    )
    data = {
        "x": points.places[:, 0].tolist(),
        "y": points.places[:, 1].tolist(),
        "names": list(points.names),
        "label": points.labels.tolist(),
        "vote": points.votes.tolist(),
        "near": points.near.tolist(),
        "classes": list(points.classes),
        "sheet": {"across": sheet.across, "down": sheet.down},
    }
    return Section("map", "Map of the features", "".join(parts)), data


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture with what stands below it.

    Attributes:
      tile: its number on its sheet.
      name: of the file.
      label: its class, "" for none.
      more: such as its similarity.
      wrong: whether it is of another class than it should be.
    """

    tile: int
    name: str
    label: str
    more: str
    wrong: bool = False


def neighbors_section(
    queries: Sequence[tuple[Shown, Sequence[Shown]]], sheet: Sheet, *, note: str
) -> Section:
    """Returns queries and their nearest neighbors, a row each."""
    rows = []
    for query, nearest in queries:
        cells = "".join(_figure(sheet, shown) for shown in nearest)
        rows.append(
            f'<div class="query">{_figure(sheet, query)}<div class="nearest">{cells}</div></div>'
        )
    return Section("neighbors", "Nearest neighbors", paragraph(note) + "".join(rows))


def _figure(sheet: Sheet, shown: Shown) -> str:
    lines = [escape(text) for text in (shown.label, shown.more) if text]
    mark = "✗ " if shown.wrong else ""
    kind = ' class="other"' if shown.wrong else ""
    return (
        f"<figure{kind}>{sheet.tile(shown.tile, shown.name)}"
        f"<figcaption>{mark}{'<br>'.join(lines)}</figcaption></figure>"
    )


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A class that is taken for another.

    Attributes:
      truth: its name.
      vote: what it is taken for.
      count: how many of its images are.
      of: how many images it has.
      examples: some of those.
    """

    truth: str
    vote: str
    count: int
    of: int
    examples: Sequence[Shown]


def confusions_section(pairs: Sequence[Confusion], sheet: Sheet, *, note: str) -> Section:
    """Returns the most frequent confusions with examples."""
    cards = []
    for pair in pairs:
        pictures = "".join(_figure(sheet, shown) for shown in pair.examples)
        cards.append(
            f'<div class="pair"><h3>{escape(pair.truth)} → {escape(pair.vote)}</h3>'
            f"<p>{pair.count:,} of {pair.of:,} ({pair.count / pair.of:.0%})</p>"
            f'<div class="examples">{pictures}</div></div>'
        )
    body = f'<div class="pairs">{"".join(cards)}</div>' if cards else missing("No vote is wrong.")
    return Section("confusions", "What is taken for what", paragraph(note) + body)


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its two views.

    Attributes:
      tiles: numbers of the image and of the views on their sheet.
      boxes: of each view, in percent of the image: left, top, width, height.
      drawn: what happened to each view, lines of plain text.
    """

    tiles: tuple[int, int, int]
    boxes: Sequence[tuple[float, float, float, float]]
    drawn: Sequence[Sequence[str]]


def views_section(pairs: Sequence[Pair], sheet: Sheet, *, note: str) -> Section:
    """Returns images beside their augmented views."""
    rows = []
    for pair in pairs:
        boxes = "".join(
            f'<span class="box v{number}" style="left:{left:.4g}%;top:{top:.4g}%;'
            f'width:{width:.4g}%;height:{height:.4g}%"></span>'
            for number, (left, top, width, height) in enumerate(pair.boxes)
        )
        views = "".join(
            f'<figure class="v{number}">{sheet.tile(tile, f"view {number + 1}")}<figcaption>'
            f"{'<br>'.join(map(escape, lines))}</figcaption></figure>"
            for number, (tile, lines) in enumerate(zip(pair.tiles[1:], pair.drawn))
        )
        rows.append(
            f'<div><figure><div class="boxed">{sheet.tile(pair.tiles[0], "image")}{boxes}</div>'
            f"<figcaption>the image</figcaption></figure>{views}</div>"
        )
    body = f'<div class="views">{"".join(rows)}</div>'
    return Section("views", "Augmented pairs", paragraph(note) + body)
