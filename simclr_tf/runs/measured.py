"""The figures of a report: from files where they are of this encoder, else measured for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from simclr_tf.evaluation import describe_accuracy
from simclr_tf.evaluation.accuracy import wilson_interval
from simclr_tf.evaluation.figures import Figure, describe_settings
from simclr_tf.evaluation.knn import TEMPERATURE
from simclr_tf.evaluation.logistic_regression import INVERSE_PENALTY
from simclr_tf.report.figures import ByLabels, Measured
from simclr_tf.runs import shares
from simclr_tf.runs.command_line import command_line
from simclr_tf.runs.evaluation_files import Row
from simclr_tf.runs.frozen import DRAWS, FrozenEncoder
from simclr_tf.runs.looking import Looked
from simclr_tf.runs.record import Record, measured_of

_FIGURE = ("protocol", "case", "metric", "dataset", "labels", "test_images", "settings", "repeated")


class Headline(NamedTuple):
    """A figure to stand first.

    Attributes:
      what: was measured.
      accuracy: 0 to 1.
      images: on which.
      how: settings, in words.
    """

    what: str
    accuracy: float
    images: int
    how: str


class Figures(NamedTuple):
    """All figures.

    Attributes:
      headlines: the first ones.
      rows: by protocol.
      lines: by number of labels.
      notes: on where they are from.
      lacking: what is not there, and the command that makes it.
    """

    headlines: Sequence[Headline]
    rows: Sequence[Measured]
    lines: Sequence[ByLabels]
    notes: Sequence[str]
    lacking: Sequence[tuple[str, str]]


def measure(
    frozen: FrozenEncoder, looked: Looked, record: Record, beside: Sequence[Record]
) -> Figures:
    """Returns what is known of the encoder's worth.

    Args:
      frozen: the encoder.
      looked: pictures and votes.
      record: of its run.
      beside: other runs.
    """
    folder = record.folder
    if not looked.k:
        text = "There are no labels, so nobody can say how many are right."
        return Figures((), (), (), (), [(text, _with_labels(frozen))])
    of = measured_of(frozen)
    notes, lacking, found = [], [], []
    fresh = record.probe.get("of") == of and "knn" in record.probe
    knn = _from_probe(record.probe) if fresh else _from_votes(looked)
    if fresh:
        learned = shares.of_probe(record.probe, frozen.num_classes)
    else:
        learned = shares.measure_learned(frozen.config, looked)
        where = "is of other weights or data, or older" if record.probe else "is not here"
        notes.append(f"probe.json {where}: its figures were measured for this page.")
    if not learned:
        text = "Logistic regression would take long here; it is measured by"
        lacking.append((text, command_line({"mode": "probe", "model_dir": folder})))
    rows = [row for row in record.rows if row["encoder_sha256"] == of["encoder_sha256"]]
    if len(rows) < len(record.rows):
        others = len(record.rows) - len(rows)
        notes.append(f"{others} figures of evaluation.json are of other weights and left out.")
    if not rows:
        text = "The papers' protocols (linear evaluation, semi-supervised, ...) are measured by"
        lacking.append((text, command_line({"mode": "evaluate", "model_dir": folder})))
    found += [(shares.LEARNED, point) for point in learned]
    untrained = shares.measure_untrained(frozen, looked)
    found += [(shares.UNTRAINED, point) for point in untrained]
    if learned and not untrained:
        text = "An untrained encoder, the floor that features must beat, is measured by"
        lacking.append((text, command_line(_untrained(frozen))))
    found += shares.of_protocols(row for row in rows if row["dataset"] == frozen.test_set.name)
    for run in beside:
        one = shares.of_run(run, frozen)
        if one is None:
            print(f"{run.folder} is no classifier on the same test images: left out")
        else:
            found.append(one)
    if not any(way == shares.SCRATCH for way, _ in found):
        text = "Networks trained from scratch on the same labels are added by"
        asked = {"mode": "evaluate", "protocol": "semi_supervised", "model_dir": folder}
        lacking.append((text, command_line(asked)))
    table = [*_probe_rows(knn, learned), *map(_of_row, rows)]
    return Figures(tuple(_headlines(knn, learned)), table, shares.lines_of(found), notes, lacking)


def _from_probe(probe: Mapping[str, Any]) -> Headline:
    how = f"k {probe['knn_k']}, T {probe['knn_temperature']:g}, {probe['labels']:,} labels"
    return Headline("kNN accuracy", probe["knn"], int(probe["test_images"]), how)


def _from_votes(looked: Looked) -> Headline:
    sampled = ", evenly spaced samples" if looked.train.is_sample or looked.test.is_sample else ""
    how = f"k {looked.k}, T {TEMPERATURE:g}, {len(looked.train):,} labels{sampled}"
    return Headline("kNN accuracy", looked.accuracy, len(looked.test), how)


def _headlines(knn: Headline, learned: Sequence[shares.Point]) -> Iterator[Headline]:
    yield knn
    if learned:
        labels, accuracy, images = max(learned)
        yield Headline(
            "Logistic regression", accuracy, images, f"C {INVERSE_PENALTY:g}, {labels:,} labels"
        )


def _probe_rows(knn: Headline, learned: Sequence[shares.Point]) -> Iterator[Measured]:
    yield Measured("kNN", describe_accuracy(knn.accuracy, knn.images), knn.how)
    for labels, accuracy, images in sorted(learned):
        name, text = f"logistic regression, {labels:,} labels", describe_accuracy(accuracy, images)
        if labels < max(learned)[0]:  # a mean is of no count of images
            low, high = wilson_interval(accuracy, images)
            text = (
                f"{accuracy:.2%}, mean over {DRAWS} draws of labels ({images:,} test images; 95% "
                f"interval {100 * low:.0f}-{100 * high:.0f}%)"
            )
        yield Measured(name, text, f"C {INVERSE_PENALTY:g}")


def _of_row(row: Row) -> Measured:
    figure = Figure(**{name: row[name] for name in _FIGURE}, values=tuple(row["values"]))
    name = f"{row['protocol'].replace('_', ' ')}, {row['case']}"
    return Measured(name, figure.describe(), describe_settings(figure.settings))


def _with_labels(frozen: FrozenEncoder) -> str:
    asked = {"mode": "report", "model_dir": frozen.config.task.model_dir}
    return command_line({**asked, "folder_labels": "folders"})


def _untrained(frozen: FrozenEncoder) -> dict[str, Any]:
    config = frozen.config
    network, data = config.architecture, config.data
    return {
        "mode": "probe",
        "dataset": data.dataset,
        "data_dir": data.data_dir,
        "eval_split": data.eval_split,
        "image_size": data.image_size,
        "resnet_depth": network.resnet_depth,
        "width_multiplier": network.width_multiplier,
    }
