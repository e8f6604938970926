"""Looks now and then whether what is learned tells images apart, at a small part of the time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simclr_tf.evaluation.health import measure_health, view_distance
from simclr_tf.evaluation.sampled_views import encode_views
from simclr_tf.training.diagnosis import Diagnosis, Judge
from simclr_tf.training.network import Network

GROUP = "health/"
"""Before each name in TensorBoard and `metrics.jsonl`."""

LOOKS = 10
"""A run, at equal distances, the last at its end."""

_JUDGED_FROM = 3  # tenths of a run
_STEPS = 100

SHARE = 0.02
"""Of the time since the run began: a look that would take more waits for the next summary."""

_FIRST = 1.0  # seconds: so long, no look is expected to be shorter before there was one

_log = logging.getLogger("simclr_tf")


def is_judged(step: int, total: int) -> bool:
    """Whether what is seen after `step` of `total` steps means something.

    Not before 100 steps and three tenths of a run: z of healthy ones, too, point nearly one way.
    """
    return step >= _STEPS and step * LOOKS // total >= _JUDGED_FROM


def looks_of(lines: Sequence[Mapping[str, Any]], total: int) -> list[dict[str, float]]:
    """Returns what a `Judge` is given of a run, in the order of steps.

    Args:
      lines: of `metrics.jsonl`.
      total: steps of the run.
    """
    looks = []
    for line in lines:
        look = {key.removeprefix(GROUP): line[key] for key in line if key.startswith(GROUP)}
        if look and is_judged(line["step"], total):
            looks.append(_with_loss(look, line.get("train/contrast_loss")))
    return looks


class Health:
    """Measures health of a run's network, ten times a run, on the same views each time.

    It changes nothing about the run: it draws no random number, and moves no statistics. The last
    look is taken whatever it costs.

    Args:
      network: being trained.
      sample: makes the views, see `evaluation.sample_views`; called at the first look.
      judge: says what figures mean that `is_judged`.
      start: step the run starts at.
      total: step the run ends at.
      at_once: views that are encoded at a time.

    Attributes:
      diagnosis: the newest; None before there is one.
    """

    def __init__(
        self,
        network: Network,
        sample: Callable[[], np.ndarray],
        judge: Judge,
        *,
        start: int,
        total: int,
        at_once: int,
    ) -> None:
        self._network, self._sample, self._judge = network, sample, judge
        self._total, self._at_once = total, at_once
        self._looked = start * LOOKS // total  # how many looks were due by then
        self._views: np.ndarray | None = None
        self._began, self._spent, self._longest = time.monotonic(), 0.0, _FIRST
        self._judged: list[dict[str, float]] = []
        self.diagnosis: Diagnosis | None = None

    def look(self, step: int, loss: float | None) -> dict[str, float]:
        """Returns the figures by TensorBoard's names; none if no look is due.

        Args:
          step: after which it is asked.
          loss: NT-Xent, the mean since it was last asked; None where nothing was measured.
        """
        due = step * LOOKS // self._total
        began = time.monotonic()
        if due == self._looked:
            return {}
        affordable = self._spent + self._longest <= SHARE * (began - self._began)
        if step < self._total and not affordable:
            return {}
        self._looked = due
        figures = self._measure()
        self._longest = time.monotonic() - began
        self._spent += self._longest
        if figures and is_judged(step, self._total):
            self._judged.append(_with_loss(figures, loss))
            before, self.diagnosis = self.diagnosis, self._judge(self._judged)
            if before is None or before.word != self.diagnosis.word:
                _log.info("step %s: %s", f"{step:,}", self.diagnosis)
        return {f"{GROUP}{name}": value for name, value in figures.items()}

    def _measure(self) -> dict[str, float]:
        if self._views is None:
            self._views = self._sample()
        if len(self._views) < 2:
            return {}
        encoded = encode_views(self._network, self._views, at_once=self._at_once)
        return {**measure_health(*encoded), "view_distance": view_distance(self._views)}


def _with_loss(look: dict[str, float], loss: float | None) -> dict[str, float]:
    return look if loss is None else {**look, "contrast_loss": loss}
