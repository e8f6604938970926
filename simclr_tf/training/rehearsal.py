"""Steps that leave no trace, to see what they cost."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from simclr_tf.training.stepping import Stepping
from simclr_tf.training.tally import Tally

_ENDLESS = 2**40  # steps, for Keras asks for a number
_AFTER_SHARE = 1 / 3  # of the time: until then batches that were made ahead are used up


@contextlib.contextmanager
def rehearsing(model: Stepping, strategy: tf.distribute.Strategy) -> Iterator[int]:
    """While it is open, steps may be taken: in the end every variable is what it was, bit for bit.

    Weights, statistics, the optimizer's state, metrics; on every replica.

    Args:
      model: compiled.
      strategy: under which it was built.

    Yields:
      How many bytes are held to put back.
    """
    model.build_optimizer()  # what it creates in its first step would not be known here
    found = [v for v in tf.train.TrackableView(model).descendants() if isinstance(v, tf.Variable)]
    slots = model.optimizer.variables  # tensorflow-addons' are found here alone
    found += slots() if callable(slots) else slots
    variables = [v for each in found for v in strategy.experimental_local_results(each)]
    before = [variable.numpy() for variable in variables]
    try:
        yield sum(value.nbytes for value in before)
    finally:
        for variable, value in zip(variables, before):
            variable.assign(value)


@dataclasses.dataclass(frozen=True)
class Pace:
    """How fast steps are.

    Attributes:
      first: seconds until the first call has ended: buffers are filled, the step is compiled.
      step: seconds of a later step.
      work: seconds of a later step that processors of this machine work for it, all added up. What
        else the machine does changes `step`, and hardly this.
    """

    first: float
    step: float
    work: float


def pace(model: Stepping, batches: Any, *, seconds: float) -> Pace:
    """Takes steps by `fit`, whose compiled step a later `fit` on batches of these shapes uses.

    Call it while `rehearsing`.

    Args:
      model: compiled.
      batches: endless.
      seconds: how long, after the first call. At least one more is made.
    """
    watch = _Watch(seconds)
    model.fit(batches, steps_per_epoch=_ENDLESS, verbose=0, callbacks=[Tally(model), watch])
    gc.collect()  # what is left of `fit` would keep a shuffle buffer, beside that of the run
    return watch.pace()


class _Watch(tf.keras.callbacks.Callback):
    """Notes when steps end, and ends `fit` in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._began = time.perf_counter()
        # After how many steps, when, and what the processors had worked by then.
        self._ends: list[tuple[int, float, float]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        self._ends.append((batch + 1, now, time.process_time()))
        if len(self._ends) > 1 and now - self._ends[0][1] >= self._seconds:
            self.model.stop_training = True

    def pace(self) -> Pace:
        first, last = self._ends[0], self._ends[-1]
        passed = last[1] - first[1]
        start = next(e for e in self._ends if e[1] - first[1] >= _AFTER_SHARE * passed)
        if start == last:  # two long calls
            start = self._ends[-2]
        steps, seconds, work = (end - begin for begin, end in zip(start, last))
        return Pace(first[1] - self._began, seconds / steps, work / steps)
