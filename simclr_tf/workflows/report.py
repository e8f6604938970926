"""One HTML page of a run: is it learning, what is it worth, and what does it see."""

from __future__ import annotations

from collections.abc import Iterator

from simclr_tf import files
from simclr_tf.config import Config
from simclr_tf.report.figures import Charts, accuracy_section, curves_section, setup_section
from simclr_tf.report.page import assemble
from simclr_tf.runs import report_words as words
from simclr_tf.runs.folder import check_writable, stored_config, writing
from simclr_tf.runs.frozen import open_frozen
from simclr_tf.runs.looking import look
from simclr_tf.runs.measured import measure
from simclr_tf.runs.record import Record, open_record
from simclr_tf.runs.report_pictures import PictureSections

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
    beside = list(_others(config))
    frozen = open_frozen(
        config, needs_labels=False, without="what needs them is left out of the report"
    )
    print(f"reporting on {record.folder}: {frozen.origin}", flush=True)
    looked = look(frozen)
    measured = measure(frozen, looked, record, beside)

    charts, pictures = Charts(), PictureSections(frozen, looked)
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
    the_map, data = pictures.map()
    setup = setup_section(
        words.facts_of(record, frozen, looked),
        record.given,
        record.config.to_json(),
        words.environment_of(record),
        without=words.WITHOUT_ENVIRONMENT,
    )
    page = assemble(
        words.opening_of(record, frozen, looked, measured),
        [curves, accuracy, the_map, *pictures.queries(), pictures.views(record), setup],
        pictures.sheets,
        {"charts": charts.data, "map": data},
        words.FOOTER,
    )
    with writing(files.parent(path), NAME, field):
        files.write_text(path, page)
    print(f"wrote {path}: {len(page) / 1e6:.1f} MB, one file; open it in a browser")
    return path


def _others(config: Config) -> Iterator[Record]:
    """Yields the runs whose folders stand behind the flags."""
    for folder in config.runs:
        if stored_config(folder) is None:
            print(f"{folder} holds no run: left out")
        else:
            yield open_record(config, folder)
