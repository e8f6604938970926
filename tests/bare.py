"""The command without SavedModel and curves: for runs of which nobody looks at these.

They are more than half of what a run of a few steps takes. `main` is for `tests.processes`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest

from simclr_tf import run
from simclr_tf.runs import training
from simclr_tf.training.curves import Curves


@contextlib.contextmanager
def bare() -> Iterator[None]:
    """While it is open, runs train, save and evaluate, and do nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "export", lambda *_: None)
        patch.setattr(Curves, "draw", lambda _: None)
        yield


def main() -> int:
    with bare():
        return run.main(sys.argv)
