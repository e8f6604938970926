"""What a user watches while a run goes on."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
import tqdm

# Names of train_step's results -> what the progress bar calls them.
_SHOWN = {
    "total_loss": "loss",
    "contrast_acc": "contrastive accuracy",
    "supervised_acc": "supervised accuracy",
}


class ProgressBar(tf.keras.callbacks.Callback):
    """Shows step, loss, contrastive accuracy, views/s and time left, on a terminal or in a log.

    tensorflow-addons' bar is not used: it averages over the whole run, counts from zero when a run
    is continued, and exists on one of the two stacks only.

    Args:
      start: step the run starts at.
      total: step the run ends at.
      views: views per step, over all replicas.
      shown: False draws nothing, on all machines of a run but the chief.
    """

    def __init__(self, *, start: int, total: int, views: int, shown: bool = True):
        super().__init__()
        self._shown = shown
        self._start, self._total, self._views = start, total, views
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._bar = tqdm.tqdm(
            initial=self._start,
            total=self._total,
            unit="step",
            disable=not self._shown,
            mininterval=0.5 if sys.stderr.isatty() else 15,
            dynamic_ncols=True,
            bar_format="{n_fmt}/{total_fmt} |{bar:16}| {elapsed}<{remaining}{postfix}",
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate = self._bar.format_dict["rate"]
        shown = {_SHOWN[k]: f"{v:.3f}" for k, v in (logs or {}).items() if k in _SHOWN}
        if rate:
            shown["views/s"] = f"{rate * self._views:,.0f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(self._start + batch + 1 - self._bar.n)

    def close(self) -> None:
        """Ends the bar's line. Keras calls nothing where an error ends the run."""
        if self._bar is not None:
            self._bar.close()
