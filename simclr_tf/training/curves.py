"""curves.png: how a run went, for those who do not start TensorBoard."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from simclr_tf import files, paths
from simclr_tf.errors import first_line
from simclr_tf.training.every_steps import EverySteps
from simclr_tf.training.metrics_file import MetricsFile

NAME = "curves.png"
SECONDS_BETWEEN_PICTURES = 300.0  # drawing takes half a second

# Metric -> title, unit's factor, and what the dashed line of a network that knows nothing means.
_OF_PRETRAINING = {
    "train/contrast_loss": ("contrastive loss (nats)", 1, "all views alike"),
    "train/contrast_acc": ("contrastive accuracy (%)", 100, "chance"),
    "train/supervised_acc": ("accuracy of the probe (%)", 100, "guessing"),
    "eval/knn_top_1": ("accuracy of kNN (%)", 100, ""),
    "health/deviation": ("deviation of z (1: in all directions)", 1, ""),
    "health/rank_me_z": ("RankMe of z", 1, ""),
    "health/rank_me_h": ("RankMe of h", 1, ""),
}
_OF_CLASSIFIERS = {
    "train/distillation_loss": ("distillation loss (nats)", 1, "guessing"),
    "train/teacher_agreement": ("agreement with the teacher (%)", 100, "guessing"),
    "train/supervised_loss": ("cross-entropy (nats)", 1, "guessing"),
    "train/supervised_acc": ("supervised accuracy (%)", 100, "guessing"),
}
_OF_ALL = {"learning_rate": ("learning rate", 1, "")}
_MARKED = 60  # points at most, each with a dot

_log = logging.getLogger("simclr_tf")


class Panel(NamedTuple):
    """How a metric is shown.

    Attributes:
      title: with its unit.
      factor: that the unit takes.
      meaning: of the dashed line of a network that knows nothing, "" without one.
    """

    title: str
    factor: int
    meaning: str


def panels_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, Panel]:
    """Returns what is to be shown of a run, by the names of metrics that its lines have."""
    names = {name for line in lines for name in line}
    kind = _OF_PRETRAINING if "train/contrast_loss" in names else _OF_CLASSIFIERS
    return {name: Panel(*panel) for name, panel in {**kind, **_OF_ALL}.items() if name in names}


def draw_curves(
    lines: Sequence[Mapping[str, Any]], *, title: str, guessing: Mapping[str, float]
) -> bytes:
    """Draws the loss, accuracies and the learning rate over steps.

    Args:
      lines: of `metrics.jsonl`, one at least.
      title: of the picture.
      guessing: see `guessing.of_pretraining`: dashed lines.

    Returns:
      A PNG file.
    """
    # Imported here, which takes half a second; without pyplot, which has a state of its own.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = panels_of(lines)
    figure = Figure(figsize=(8, 0.6 + 2.2 * len(panels)), layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axis, (name, (label, factor, meaning)) in zip(axes, panels.items()):
        nothing = guessing.get(name.removeprefix("train/"))
        if nothing is not None:  # first, so that what is shown of the axis reaches beyond it
            axis.axhline(factor * nothing, color="gray", linestyle="--", label=meaning)
        points = [(line["step"], factor * line[name]) for line in lines if name in line]
        axis.plot(*zip(*points), color="C0", marker="." if len(points) <= _MARKED else "")
        axis.set_title(label, fontsize=10, loc="left")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if nothing is not None:
            axis.legend(fontsize=8, frameon=False)
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names in scripts that its font lacks
        FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()


class Curves(EverySteps):
    """Draws `curves.png` of the run's `metrics.jsonl`: at checkpoints, every five minutes at most.

    Comes behind `Summaries` in the list of callbacks. Where it cannot be drawn, the run goes on.

    Args:
      folder: of the run; None draws nothing.
      start, total, every: see `EverySteps`.
      guessing: see `draw_curves`.
    """

    def __init__(
        self,
        folder: str | None,
        *,
        start: int,
        total: int,
        every: int,
        guessing: Mapping[str, float],
    ) -> None:
        super().__init__(start=start, total=total, every=every)
        self._folder, self._guessing = folder, guessing
        self._drawn = time.monotonic()

    def act(self, step: int) -> None:
        if step < self._total and time.monotonic() - self._drawn > SECONDS_BETWEEN_PICTURES:
            self.draw()

    def draw(self) -> None:
        """Draws what there is by now; says so where that fails."""
        self._drawn = time.monotonic()
        if self._folder is None:
            return
        try:
            lines = MetricsFile(self._folder).read()
            if lines:
                step = f"step {lines[-1]['step']:,} of {self._total:,}"
                title = f"{paths.last_name(self._folder)}: {step}"
                picture = draw_curves(lines, title=title, guessing=self._guessing)
                files.write_bytes(files.join(self._folder, NAME), picture)
        except Exception as error:  # whatever it is, the run is worth more
            _log.warning("%s cannot be drawn: %s", NAME, first_line(error))
