"""What a user watches while a run goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tqdm

from simclr_tf import terminal
from simclr_tf.training.health import Health
from simclr_tf.training.tally import Tally

_SECONDS_BETWEEN_BARS = 0.5
SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_LINES_OF_OTHERS = 60.0
_SECONDS_OF_AN_EPOCH = 1.0  # shorter ones share a line


def describe(
    measured: Mapping[str, float], guessing: Mapping[str, float], loss: str
) -> Iterator[str]:
    """Yields what a user wants to know of steps.

    Args:
      measured: means by the names that `train_step` gives them.
      guessing: by the same names, see `guessing.of_pretraining`.
      loss: what the contrastive loss is called.
    """
    if "contrast_loss" in measured:
        yield f"{loss} {measured['contrast_loss']:.3f}"
        chance = f"{100 * guessing['contrast_acc']:.2g}%"
        yield f"contrastive accuracy {measured['contrast_acc']:.1%} (chance {chance})"
        if "supervised_acc" in measured:
            yield f"probe accuracy {measured['supervised_acc']:.1%}"
        return
    if "distillation_loss" in measured:
        yield f"distillation loss {measured['distillation_loss']:.3f}"
        yield f"agrees with the teacher on {measured['teacher_agreement']:.1%}"
    if "supervised_loss" in measured:  # some of the images have a label
        yield f"cross-entropy {measured['supervised_loss']:.3f}"
        yield f"supervised accuracy {measured['supervised_acc']:.1%}"


class Progress(tf.keras.callbacks.Callback):
    """Shows step, loss, accuracy, views/s and time left: a bar on a terminal, lines elsewhere.

    Figures are means over the steps since they were last shown. Lines come after the first steps,
    at least every fifteen seconds, after each epoch that takes a second or longer, and at the end.

    tensorflow-addons' bar is not used: it averages over the whole run, counts from zero when a run
    is continued, and exists on one of the two stacks only.

    Args:
      tally: of the run; comes before this in the list of callbacks.
      start: step the run starts at.
      total: step the run ends at.
      views: that a step makes, over all replicas.
      epoch: steps of an epoch.
      guessing, loss: see `describe`.
      worker: which machine of several this is, in words, and not the chief: it has no bar, and
        writes a line a minute.
      health: whose newest word is shown; None for none.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        start: int,
        total: int,
        views: int,
        epoch: float,
        guessing: Mapping[str, float],
        loss: str = "NT-Xent",
        worker: str = "",
        health: Health | None = None,
    ) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._take = tally.since_last()
        self._total, self._epoch, self._start = total, epoch, start
        self._views, self._guessing, self._worker = views, guessing, worker
        self._loss = loss
        self._health = health
        self._step = self._shown_step = start
        self._first_step = 0  # that a call ended with, and when
        self._first_time = self._shown_time = 0.0
        self._figures: dict[str, float] = {}
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._shown_time = time.monotonic()
        if terminal.is_watched() and not self._worker:
            self._bar = tqdm.tqdm(
                initial=self._start,
                total=self._total,
                unit="step",
                mininterval=0,
                dynamic_ncols=True,
                bar_format="{n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}{postfix}",
            )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before, self._step = self._step, self._start + batch + 1
        now = time.monotonic()
        passed = now - self._shown_time
        if not self._first_step:
            self._first_step, self._first_time = self._step, now
        if self._bar is not None:
            due = passed >= _SECONDS_BETWEEN_BARS
        else:
            epoch_ends = self._step // self._epoch > before // self._epoch
            due = (
                before <= self._first_step  # the first two calls
                or passed >= self._seconds_between_lines
                or (epoch_ends and passed >= _SECONDS_OF_AN_EPOCH and not self._worker)
            )
        if due or self._step == self._total:
            self._show(now)

    @property
    def _seconds_between_lines(self) -> float:
        return SECONDS_BETWEEN_LINES_OF_OTHERS if self._worker else SECONDS_BETWEEN_LINES

    def _show(self, now: float) -> None:
        self._figures |= self._take()
        said = list(describe(self._figures, self._guessing, self._loss))
        if self._health is not None and self._health.diagnosis is not None:
            said.append(self._health.diagnosis.word)
        passed = max(now - self._shown_time, 1e-9)
        steps, self._shown_step = self._step - self._shown_step, self._step
        self._shown_time = now
        rate = f"{steps * self._views / passed:,.0f} views/s"
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join([*said, rate]), refresh=False)
            self._bar.update(self._step - self._bar.n)
            return
        if self._step == self._first_step:
            # It waits for the first images and for the compiler, and says nothing of the others.
            first = "the first step" if steps == 1 else f"the first {steps} steps"
            said.append(f"{first} took {terminal.duration(passed)}")
        else:
            pace = (now - self._first_time) / (self._step - self._first_step)
            left = terminal.duration(pace * (self._total - self._step))
            said += [rate, "done" if self._step == self._total else f"{left} left"]
        epoch = f"epoch {self._step / self._epoch:.1f}"
        where = f"step {self._step:,}/{self._total:,} ({epoch})"
        who = f"{self._worker}, " if self._worker else ""
        line = f"{time.strftime('%H:%M:%S')} {who}{where}: {', '.join(said)}"
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar's line. Keras calls nothing where an error ends the run."""
        if self._bar is not None:
            self._bar.close()
