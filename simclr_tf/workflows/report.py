"""One HTML page of a run: is it learning, what is it worth, and what does it see."""

from __future__ import annotations

import numpy as np

from simclr_tf import files
from simclr_tf.config import Config
from simclr_tf.report.figures import Charts, accuracy_section, curves_section, setup_section
from simclr_tf.report.layout import lay_out
from simclr_tf.report.markup import Section, missing
from simclr_tf.report.page import assemble
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
from simclr_tf.runs.folder import check_writable, stored_config, writing
from simclr_tf.runs.frozen import FrozenEncoder, open_frozen
from simclr_tf.runs.looking import Looked, look
from simclr_tf.runs.measured import measure
from simclr_tf.runs.record import Record, open_record

NAME = "report.html"


def report(config: Config) -> str:
    """Writes one page of what is known of the run in `model_dir`.

    Files of the run are read. What they lack is measured where that takes no long work: on at most
    10,000 images of `train_split` and 5,000 of `eval_split`.

    Args:
      config: what was asked; data are found as `simclr_tf.workflows.probe` finds them. `runs` are
        others whose accuracies are shown beside.

    Returns:
      The path of the page.

    Raises:
      UserError: bad input.
    """
    field = "output" if config.embedding.output else "model_dir"
    record = open_record(config, config.task.model_dir)
    path = config.embedding.output or files.join(record.folder, NAME)
    check_writable(files.parent(path), field)
    beside = [open_record(config, run) for run in config.runs if stored_config(run) is not None]
    frozen = open_frozen(
        config, needs_labels=False, without="what needs them is left out of the report"
    )
    print(f"reporting on {record.folder}: {frozen.origin}", flush=True)
    looked = look(frozen)
    measured = measure(frozen, looked, record, beside)
    charts, sheets = Charts(), [_map_sheet(looked)]
    curves = curves_section(
        words.curves_of(record),
        charts,
        note=words.note_on_curves(record),
        health=words.health_of(record),
        without=words.WITHOUT_CURVES,
    )
    accuracy = accuracy_section(
        measured.rows, measured.lines, charts, notes=measured.notes, lacking=measured.lacking
    )
    the_map, data = _map(frozen, looked, sheets[0])
    sections = [curves, accuracy, the_map, *_queries(frozen, looked, sheets)]
    sections.append(_views(record, frozen, sheets))
    facts = words.facts_of(record, frozen, looked)
    sections.append(
        setup_section(
            facts,
            record.given,
            record.config.to_json(),
            words.environment_of(record),
            without=words.WITHOUT_ENVIRONMENT,
        )
    )
    page = assemble(
        words.opening_of(record, frozen, looked, measured),
        sections,
        sheets,
        {"charts": charts.data, "map": data},
        words.FOOTER,
    )
    with writing(files.parent(path), NAME, field):
        files.write_text(path, page)
    print(f"wrote {path}: {len(page) / 1e6:.1f} MB, one file; open it in a browser")
    return path


def _map_sheet(looked: Looked) -> Sheet:
    test = looked.test
    side = choose_side(len(test), test.side)
    return Sheet("s-map", test.draw(np.arange(len(test)), side=side))


def _map(frozen: FrozenEncoder, looked: Looked, sheet: Sheet) -> tuple[Section, dict[str, object]]:
    test = looked.test
    placed, how = lay_out(test.features, seed=frozen.config.task.seed)
    points = Points(placed, test.names, test.labels, looked.votes, looked.near, _classes(frozen))
    return map_section(points, sheet, note=words.note_on_map(looked, how))


def _classes(frozen: FrozenEncoder) -> list[str]:
    return list(frozen.train_set.class_names or ()) if frozen.has_labels else []


def _queries(frozen: FrozenEncoder, looked: Looked, sheets: list[Sheet]) -> list[Section]:
    """Returns queries with their neighbors, and confusions; their pictures are one more sheet."""
    test, train, classes = looked.test, looked.train, _classes(frozen)
    queries, confused = looked.queries(), looked.confusions()
    asked = sorted({*queries, *(r for *_, rows in confused for r in looked.examples(rows))})
    found = sorted({int(place) for row in queries for place in looked.nearest[row]})
    side = choose_side(len(asked) + len(found), test.side)
    drawn = [test.draw(np.array(asked), side=side), train.draw(np.array(found), side=side)]
    sheet = Sheet("s-near", np.concatenate(drawn))
    sheets.append(sheet)
    tile = {row: place for place, row in enumerate(asked)}
    tile_found = {place: len(asked) + number for number, place in enumerate(found)}

    def name(label: int) -> str:
        return classes[label] if classes and label >= 0 else ""

    def show(row: int) -> Shown:
        wrong = looked.votes[row] not in (-1, test.labels[row])
        more = f"vote: {name(looked.votes[row])}" if looked.k else ""
        return Shown(tile[row], test.names[row], name(test.labels[row]), more, bool(wrong))

    def show_found(row: int, rank: int) -> Shown:
        place, cosine = int(looked.nearest[row, rank]), looked.similarity[row, rank]
        label = train.labels[place]
        wrong = bool(looked.k) and label != test.labels[row]
        return Shown(tile_found[place], train.names[place], name(label), f"{cosine:.2f}", wrong)

    rows = [
        (show(row), [show_found(row, rank) for rank in range(looked.nearest.shape[1])])
        for row in queries
    ]
    sections = [neighbors_section(rows, sheet, note=words.note_on_neighbors(looked))]
    if not looked.k:
        body = missing(*words.without_labels(frozen))
        return [*sections, Section("confusions", "What is taken for what", body)]
    pairs = [
        Confusion(
            classes[truth],
            classes[vote],
            len(members),
            int(np.sum(test.labels == truth)),
            [Shown(tile[row], test.names[row], "", "") for row in looked.examples(members)],
        )
        for truth, vote, members in confused
    ]
    return [*sections, confusions_section(pairs, sheet, note=words.note_on_votes(looked))]


def _views(record: Record, frozen: FrozenEncoder, sheets: list[Sheet]) -> Section:
    if not record.config.task.pretraining:
        body = missing("This run trained a classifier, which sees one view of an image at a time.")
        return Section("views", "Augmented pairs", body)
    split = frozen.config.data.train_split
    pairs, pictures = augmented_pairs(record.config, frozen.train_set, split)
    sheet = Sheet("s-views", pictures)
    sheets.append(sheet)
    return views_section(pairs, sheet, note=words.note_on_views(record))
