"""Sections of figures: curves, protocols, accuracy by labels, configuration and environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from simclr_tf.report.charts import Chart, Line
from simclr_tf.report.markup import Section, definitions, details, missing, paragraph, table

_SHARES = (
    "How many labels it takes. Bars are 95% intervals by the number of test images; how draws of "
    "labels and seeds vary is not in them."
)


class Charts:
    """Collects charts, and what the script is given of them."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def draw(self, chart: Chart) -> str:
        """Returns a chart as HTML."""
        html, data = chart.draw(len(self.data))
        self.data.append(data)
        return html


def curves_section(
    curves: Sequence[Chart], charts: Charts, *, note: str, health: str, without: str
) -> Section:
    """Returns how the run went.

    Args:
      curves: of its metrics, none where there are none.
      charts: gets them.
      note: what they are means over.
      health: what was measured without labels, in words; "" where nobody looked.
      without: what is said where there are no curves.
    """
    parts = [missing(without)]
    if curves:
        drawn = "".join(charts.draw(curve) for curve in curves)
        parts = [paragraph(note), f'<div class="charts">{drawn}</div>']
    if health:
        parts.append(paragraph(health, "note"))
    return Section("curves", "Is it learning?", "".join(parts))


@dataclasses.dataclass(frozen=True)
class Measured:
    """A figure of a protocol.

    Attributes:
      protocol: with its case.
      figure: with interval and number of test images.
      settings: all others.
    """

    protocol: str
    figure: str
    settings: str


@dataclasses.dataclass(frozen=True)
class ByLabels:
    """Accuracies by number of labels.

    Attributes:
      name: of the way to learn from them.
      labels: ascending.
      accuracies: of each.
      intervals: of each.
    """

    name: str
    labels: Sequence[int]
    accuracies: Sequence[float]
    intervals: Sequence[tuple[float, float]]


def accuracy_section(
    measured: Sequence[Measured],
    shares: Sequence[ByLabels],
    charts: Charts,
    *,
    notes: Sequence[str],
    lacking: Sequence[tuple[str, str]],
) -> Section:
    """Returns what the features are worth.

    Args:
      measured: by protocols.
      shares: by number of labels; the chart is left out where there are none.
      charts: gets the chart.
      notes: on where figures are from, plain text.
      lacking: what is not there, and the command that makes it.
    """
    rows = [(one.protocol, one.figure, one.settings) for one in measured]
    parts = [table(("protocol", "accuracy", "settings"), rows, "wide")] if rows else []
    parts += [paragraph(note, "note") for note in notes]
    if shares:
        parts += [
            "<h3>Accuracy by number of labels</h3>",
            paragraph(_SHARES),
            f'<div class="charts">{charts.draw(_chart(shares))}{_table_of(shares)}</div>',
        ]
    if lacking:
        lines = "".join(missing(*line) for line in lacking)
        parts.append(details("What is not measured yet, and how it would be", lines))
    return Section("accuracy", "What the features are worth", "".join(parts))


def _chart(shares: Sequence[ByLabels]) -> Chart:
    lines = [Line(one.name, one.labels, one.accuracies, one.intervals) for one in shares]
    return Chart("top-1 accuracy (%)", "labels", lines, factor=100, log_x=True)


def _table_of(shares: Sequence[ByLabels]) -> str:
    counts = sorted({labels for one in shares for labels in one.labels})
    rows = []
    for one in shares:
        known = dict(zip(one.labels, one.accuracies))
        cells = (f"{100 * known[labels]:.1f}" if labels in known else "–" for labels in counts)
        rows.append((one.name, *cells))
    return table(("labels", *(f"{labels:,}" for labels in counts)), rows, "numbers")


def setup_section(
    facts: Sequence[tuple[str, str]],
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
    environment: Sequence[tuple[str, str]],
    *,
    without: str,
) -> Section:
    """Returns how the run was configured, and where it was started.

    Args:
      facts: on the checkpoint.
      given: settings of the command line.
      settings: all of them.
      environment: where it was started; none where nobody noted it.
      without: what is said then.
    """
    rows = [(name, _write(value)) for name, value in sorted(settings.items())]
    chosen = [(name, _write(value)) for name, value in sorted(given.items())]
    parts = [
        definitions(facts),
        "<h3>Given on the command line</h3>",
        definitions(chosen, "settings") if chosen else paragraph("nothing"),
        details("All settings", definitions(rows, "settings")),
        "<h3>Where it was started</h3>",
        definitions(environment) if environment else missing(without),
    ]
    return Section("setup", "Configuration and environment", "".join(parts))


def _write(value: Any) -> str:
    if value is None:
        return "–"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
