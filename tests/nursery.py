"""Starts programs in processes of their own, which begin where their imports have ended.

`python -m tests.nursery` imports TensorFlow and this package, computes nothing, and reads orders,
one JSON object a line. For each it forks a child that runs `main()` of a module, and prints the
child's process id. What the child prints goes to a file; once it has ended, the file's name with
".status" added holds its exit status, negative for a signal. `tests.processes` gives the orders.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from simclr_tf import compat

SHARED = ("workflows.pretrain", "workflows.finetune", "workflows.evaluate", "augmentation")


def main() -> None:
    compat.import_tensorflow()
    for name in SHARED:
        importlib.import_module(f"simclr_tf.{name}")
    gc.set_threshold(20_000, 20, 50)  # as in conftest.py
    gc.collect()
    gc.freeze()  # children share these pages until somebody writes to them
    children: dict[int, Path] = {}

    def note_ends(*_: object) -> None:
        for pid in list(children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _write_status(children.pop(pid), os.waitstatus_to_exitcode(status))

    signal.signal(signal.SIGCHLD, note_ends)
    for line in sys.stdin:
        order = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            break
        children[pid] = Path(order["output"])
        print(pid, flush=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    else:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)  # its processor time is counted
        return
    _become(order)


def _write_status(output: Path, status: int) -> None:
    written = output.with_suffix(".written")
    written.write_text(str(status))
    written.rename(f"{output}.status")


def _become(order: dict[str, Any]) -> None:
    """Turns this child into the program that was ordered; it ends as any program does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    files = [os.open(os.devnull, os.O_RDONLY), os.open(order["output"], os.O_WRONLY | os.O_CREAT)]
    for number, file in enumerate((*files, files[1])):
        os.dup2(file, number)
    os.environ.update(order["environment"])
    sys.argv = [order["module"], *order["flags"]]
    sys.exit(importlib.import_module(order["module"]).main())


if __name__ == "__main__":
    main()
