"""The sections of a report that show pictures: the map, neighbors, confusions, augmented pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from simclr_tf.report.layout import lay_out
from simclr_tf.report.markup import Section, missing
from simclr_tf.report.pictures import (
    Confusion,
    Points,
    Shown,
    confusions_section,
    map_section,
    neighbors_section,
    views_section,
)
from simclr_tf.report.sheets import Sheet, choose_side
from simclr_tf.runs import report_words as words
from simclr_tf.runs.augmented_pairs import augmented_pairs
from simclr_tf.runs.frozen import FrozenEncoder
from simclr_tf.runs.looking import Looked
from simclr_tf.runs.record import Record


class PictureSections:
    """Makes the sections, and draws what they show.

    Args:
      frozen: the encoder, with its data.
      looked: what was seen of them.

    Attributes:
      sheets: pictures of the sections that were made.
    """

    def __init__(self, frozen: FrozenEncoder, looked: Looked) -> None:
        self._frozen, self._looked = frozen, looked
        names = frozen.train_set.class_names if frozen.has_labels else None
        self._classes = list(names or ())
        self.sheets: list[Sheet] = []

    def map(self) -> tuple[Section, dict[str, Any]]:
        """Returns the map, and what the script is given of it."""
        looked, test = self._looked, self._looked.test
        side = choose_side(len(test), test.side)
        sheet = self._add("s-map", test.draw(np.arange(len(test)), side=side))
        placed, how = lay_out(test.features, seed=self._frozen.config.task.seed)
        points = Points(placed, test.names, test.labels, looked.votes, looked.near, self._classes)
        return map_section(points, sheet, note=words.note_on_map(looked, how))

    def queries(self) -> list[Section]:
        """Returns queries with their neighbors, and confusions."""
        looked, test = self._looked, self._looked.test
        queries, confused = looked.queries(), looked.confusions()
        examples = [row for *_, rows in confused for row in looked.examples(rows)]
        asked = sorted({*queries, *examples})
        found = sorted({int(place) for row in queries for place in looked.nearest[row]})
        side = choose_side(len(asked) + len(found), test.side)
        drawn = [looked.test.draw(np.array(asked), side=side)]
        drawn.append(looked.train.draw(np.array(found), side=side))
        sheet = self._add("s-near", np.concatenate(drawn))
        tiles = {row: number for number, row in enumerate(asked)}
        tiles_found = {place: number for number, place in enumerate(found, len(asked))}
        rows = [
            (
                self._query(row, tiles[row]),
                [
                    self._neighbor(row, rank, tiles_found[int(place)])
                    for rank, place in enumerate(looked.nearest[row])
                ],
            )
            for row in queries
        ]
        nearest = neighbors_section(rows, sheet, note=words.note_on_neighbors(looked))
        if not looked.k:
            body = missing(*words.without_labels(self._frozen))
            return [nearest, Section("confusions", "What is taken for what", body)]
        pairs = [
            Confusion(
                self._classes[truth],
                self._classes[vote],
                len(members),
                int(np.sum(test.labels == truth)),
                [Shown(tiles[row], test.names[row], "", "") for row in looked.examples(members)],
            )
            for truth, vote, members in confused
        ]
        return [nearest, confusions_section(pairs, sheet, note=words.note_on_votes(looked))]

    def views(self, record: Record) -> Section:
        """Returns augmented pairs of a run; a line for one that has none."""
        if not record.config.task.pretraining:
            body = missing("This run did not pre-train: its loss compares no two views.")
            return Section("views", "Augmented pairs", body)
        split = self._frozen.config.data.train_split
        pairs, pictures = augmented_pairs(record.config, self._frozen.train_set, split)
        sheet = self._add("s-views", pictures)
        return views_section(pairs, sheet, note=words.note_on_views(record))

    def _add(self, name: str, pictures: np.ndarray) -> Sheet:
        sheet = Sheet(name, pictures)
        self.sheets.append(sheet)
        return sheet

    def _query(self, row: int, tile: int) -> Shown:
        test, vote = self._looked.test, int(self._looked.votes[row])
        label = int(test.labels[row])
        more = f"vote: {self._name(vote)}" if self._looked.k else ""
        wrong = bool(self._looked.k) and vote != label
        return Shown(tile, test.names[row], self._name(label), more, wrong)

    def _neighbor(self, row: int, rank: int, tile: int) -> Shown:
        train, place = self._looked.train, int(self._looked.nearest[row, rank])
        label, cosine = int(train.labels[place]), self._looked.similarity[row, rank]
        wrong = bool(self._looked.k) and label != self._looked.test.labels[row]
        return Shown(tile, train.names[place], self._name(label), f"{cosine:.2f}", bool(wrong))

    def _name(self, label: int) -> str:
        return self._classes[label] if self._classes and label >= 0 else ""
