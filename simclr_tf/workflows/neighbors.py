"""Which pictures are alike: the nearest of a query, near-duplicates, and what is unlike all."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import data, files, paths
from simclr_tf.config import Config
from simclr_tf.data.folder import PREFIX
from simclr_tf.embedding import Likeness, Parts
from simclr_tf.embedding.neighbor_sheet import SIDE, Cell, draw_neighbors
from simclr_tf.errors import SettingError, UserError
from simclr_tf.evaluation.knn import nearest_neighbors
from simclr_tf.runs.embedding import Embedder, open_embedder
from simclr_tf.runs.folder import check_writable, writing
from simclr_tf.runs.pictures import draw_pictures

LISTED, DRAWN = 20, 8
"""Nearest pictures of a query in neighbors.json, and in neighbors.png."""
ROWS = 16
"""Queries in neighbors.png."""
LEAST_SIMILAR, MOST_PAIRS, MOST_OUTLIERS = 0.95, 1000, 100

_ALL = "all"


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """Pictures that have features, one after the other.

    Attributes:
      dataset: they are of.
      split: of it.
      places: int64 [n], in the split.
      features: float32 [n, dim].
      names: of each.
      labels: of each, "" for none.
    """

    dataset: data.ImageDataset
    split: str
    places: np.ndarray
    features: np.ndarray
    names: list[str]
    labels: list[str]

    def where(self, row: int) -> str:
        """Returns the path of a picture of a folder; of others, what tells them apart."""
        root = self.dataset.name
        if not root.startswith(PREFIX):
            return f"{root}:{self.names[row]}"
        return paths.absolute(files.join(root.removeprefix(PREFIX), self.names[row]))

    def draw(self, rows: Iterable[int]) -> dict[int, np.ndarray]:
        """Returns some of the pictures, uint8 [SIDE, SIDE, 3], by row."""
        rows = sorted(set(rows))
        pixels = draw_pictures(self.dataset, self.split, self.places[rows], side=SIDE)
        return dict(zip(rows, pixels))


def neighbors(config: Config) -> list[str]:
    """Writes what is alike among the pictures of a split, by the cosine of their features.

    `duplicates.csv` lists pairs that are nearly the same, `outliers.csv` the pictures that are
    least like any other. With `query`, `neighbors.json` and `neighbors.png` have the nearest
    pictures of each.

    Args:
      config: what was asked; as `workflows.embed` takes it.

    Returns:
      The paths of what was written.

    Raises:
      UserError: bad input.
    """
    field = "output" if config.embedding.output else "model_dir"
    folder = config.embedding.output or files.join(config.task.model_dir, "neighbors")
    queries = _open_queries(config.embedding.query) if config.embedding.query else None
    check_writable(folder, field)
    embedder = open_embedder(config)
    parts = Parts(files.join(folder, "features.parts"), embedder.about)
    pictures = _embed(embedder, parts, folder)
    if len(pictures.places) < 2:
        raise SettingError("dataset", embedder.dataset.name, "has one picture", "give more")
    asked = None
    if queries is not None:
        queries = queries.with_pixel_rule(embedder.dataset.pixel_rule)
        asking = dataclasses.replace(embedder, dataset=queries, split=_ALL)
        few = Parts(files.join(folder, "queries.parts"), {})
        few.remove()
        asked = _embed(asking, few, folder)
        few.remove()
    with writing(folder, "what was found", field):
        written = _write_likeness(folder, pictures)
        if asked is not None:
            written += _write_nearest(folder, asked, pictures, embedder.about)
    return written


def _open_queries(query: str) -> data.ImageDataset:
    """Returns the data set of a picture, or of a folder of pictures. Raises UserError."""
    if tf.io.gfile.isdir(query):
        return data.load(f"{PREFIX}{query}")
    if not tf.io.gfile.exists(query):
        raise SettingError("query", query, "does not exist", "give a picture, or a folder of them")
    try:
        beside = data.load(f"{PREFIX}{files.parent(query)}")
        place = beside.image_names(_ALL).index(paths.last_name(query))
    except (UserError, ValueError):
        raise SettingError(
            "query", query, "is no picture by its name", "give a JPEG or PNG file, or a folder"
        ) from None
    return beside.only(_ALL, np.array([place]))


def _embed(embedder: Embedder, parts: Parts, folder: str) -> _Pictures:
    with embedder.dataset.report_bad_images(folder):
        embedder.complete(parts, every=1 + embedder.dataset.num_examples(embedder.split))
    places, features, labels = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("places", "features", "labels")
    )
    names = embedder.dataset.image_names(embedder.split)
    return _Pictures(
        embedder.dataset,
        embedder.split,
        places,
        features,
        [names[place] for place in places],
        [name or "" for name in embedder.label_names(labels)],
    )


def _write_likeness(folder: str, pictures: _Pictures) -> list[str]:
    """Writes duplicates.csv and outliers.csv, and says how many there are."""
    likeness, name = Likeness(pictures.features), pictures.where
    doubles = likeness.doubles(least=LEAST_SIMILAR, most=MOST_PAIRS)
    outliers = likeness.outliers(most=MOST_OUTLIERS)
    written = [files.join(folder, "duplicates.csv"), files.join(folder, "outliers.csv")]
    pairs = [(f"{similarity:.6f}", name(a), name(b)) for a, b, similarity in doubles]
    _write_csv(written[0], ("similarity", "first", "second"), pairs)
    alone = [(f"{similarity:.6f}", name(row)) for row, similarity in outliers]
    _write_csv(written[1], ("mean_similarity", "picture"), alone)
    same = sum(similarity > 1 - 1e-6 for _, _, similarity in doubles)
    print(
        f"{written[0]}: {len(doubles):,} pairs of cosine {LEAST_SIMILAR} or more"
        f"{', the most similar ones' if len(doubles) == MOST_PAIRS else ''}; {same:,} have the "
        "same features"
    )
    print(f"{written[1]}: the {len(outliers):,} least like their ten nearest")
    return written


def _write_nearest(
    folder: str, asked: _Pictures, pictures: _Pictures, about: dict[str, Any]
) -> list[str]:
    """Writes neighbors.json and neighbors.png."""
    found = []
    own = {pictures.where(row): row for row in range(len(pictures.places))}
    for rows, similarity, where in nearest_neighbors(
        pictures.features, asked.features, min(LISTED + 1, len(pictures.places))
    ):
        for query, best, nearest in zip(range(*rows.indices(len(asked.places))), similarity, where):
            itself = own.get(asked.where(query))  # is not its own neighbor
            others = [(n, float(s)) for n, s in zip(nearest, best) if n != itself][:LISTED]
            found.append((query, others))
    content = {
        "features": about,
        "queries": [
            {
                "query": asked.where(query),
                "neighbors": [
                    {"picture": pictures.where(row), "label": pictures.labels[row] or None}
                    | {"similarity": round(similarity, 6)}
                    for row, similarity in others
                ],
            }
            for query, others in found
        ],
    }
    written = [files.join(folder, "neighbors.json"), files.join(folder, "neighbors.png")]
    files.write_json(written[0], content)
    drawn = [(query, others[:DRAWN]) for query, others in found[:ROWS]]
    queries = asked.draw(query for query, _ in drawn)
    nearest = pictures.draw(row for _, others in drawn for row, _ in others)
    cells = [
        [Cell(queries[query], asked.names[query], "query")]
        + [
            Cell(nearest[row], pictures.names[row], f"{similarity:.3f} {pictures.labels[row]}")
            for row, similarity in others
        ]
        for query, others in drawn
    ]
    picture = io.BytesIO()
    draw_neighbors(cells).save(picture, "PNG")
    files.write_bytes(written[1], picture.getvalue())
    print(f"{written[1]}: {len(drawn):,} queries and their {DRAWN} nearest")
    print(f"{written[0]}: {len(found):,} queries and their {LISTED} nearest")
    return written


def _write_csv(path: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(rows)
    files.write_text(path, text.getvalue())
