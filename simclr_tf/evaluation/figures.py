"""What protocols have measured: means and intervals, in words, as a table and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simclr_tf.evaluation.accuracy import MANY, describe_accuracy, wilson_interval

TOP_1, MEAN_PER_CLASS, MEAN_PRECISION = "top-1", "mean per class", "11-point mAP"
NMI, ARI = "NMI", "adjusted Rand index"
_INDICES = (NMI, ARI)  # no shares of anything, and not shown in percent

COLUMNS = (
    *("protocol", "case", "metric", "dataset", "value", "low", "high", "repetitions", "repeated"),
    *("labels", "test_images", "step", "encoder_sha256", "settings"),
)
"""Of evaluation.csv."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """A measure of frozen features, or of what was trained from them.

    Attributes:
      protocol: the value of `protocol`.
      case: which of its figures it is, such as `k 200, T 0.1`.
      metric: what is measured.
      values: one, or one for each draw or seed.
      dataset: on whose images.
      labels: that were fitted on, of each draw.
      test_images: on which it was measured.
      settings: all others of the protocol.
      repeated: over what several values were taken, in the plural: `draws` of labels or `seeds`.
    """

    protocol: str
    case: str
    metric: str
    values: tuple[float, ...]
    dataset: str
    labels: int
    test_images: int
    settings: Mapping[str, Any]
    repeated: str = ""

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    def interval(self) -> tuple[float, float] | None:
        """Returns the 95% interval of the mean over draws or seeds, by Student's t; None of one.

        It knows nothing of the number of test images.
        """
        count = len(self.values)
        if count < 2:
            return None
        from scipy.stats import t  # half a second

        half = float(t.ppf(0.975, count - 1)) * float(np.std(self.values, ddof=1))
        half /= math.sqrt(count)
        # No figure can be beyond these, whatever few seeds say.
        least = -1.0 if self.metric == ARI else 0.0
        return max(self.mean - half, least), min(self.mean + half, 1.0)

    def describe(self) -> str:
        """Returns mean and intervals in words."""
        write = "{:.3f}".format if self.metric in _INDICES else "{:.2%}".format
        text = f"{self.metric} {write(self.mean)}"
        images = f"{self.test_images:,} test images"
        interval = self.interval()
        if interval is None:
            if self.metric == TOP_1:
                return f"{self.metric} {describe_accuracy(self.mean, self.test_images)}"
            return f"{text} ({images})"
        low, high = map(write, interval)
        over = f"{len(self.values)} {self.repeated}"
        if self.metric == TOP_1 and self.test_images < MANY:
            least, most = (f"{100 * p:.0f}" for p in wilson_interval(self.mean, self.test_images))
            images = f"{least}-{most}% of {images}"
            return f"{text} (95% intervals: {low} to {high} over {over}, {images})"
        return f"{text} (95% interval {low} to {high} over {over}; {images})"

    def to_json(self) -> dict[str, Any]:
        """Returns the figure as evaluation.json has it."""
        low, high = self.interval() or (None, None)
        return {
            **dataclasses.asdict(self),
            "values": list(self.values),
            "settings": dict(self.settings),
            "value": self.mean,
            "low": low,
            "high": high,
            "repetitions": len(self.values),
        }


def table(figures: Sequence[Figure]) -> str:
    """Returns lines with the figures of a protocol, and below them the settings they share."""
    width = max(len(figure.case) for figure in figures)
    shared = {
        name: value
        for name, value in figures[0].settings.items()
        if all(figure.settings[name] == value for figure in figures)
    }
    lines = []
    for figure in figures:
        own = {name: v for name, v in figure.settings.items() if name not in shared}
        more = f"; {describe_settings(own)}" if own else ""
        lines.append(f"{figure.case:<{width}}  {figure.describe()}{more}")
    lines.append(f"({describe_settings(shared)})")
    names = [figures[0].protocol, *("" for _ in lines)]
    return "\n".join(f"  {name:<19}  {line}" for name, line in zip(names, lines))


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Returns names and values of settings, a line."""
    return ", ".join(f"{name} {_text(value)}" for name, value in settings.items())


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a CSV file of what evaluation.json lists."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "settings": json.dumps(row["settings"], sort_keys=True)})
    return text.getvalue()


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):  # of each draw
        low, high = _text(min(value)), _text(max(value))
        return low if low == high else f"{low} to {high}"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
