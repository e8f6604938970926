"""SIGTERM and Ctrl-C: a run that trains is saved first, everything else ends at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
_SECONDS_TO_END = 5.0  # for the main thread to notice


class Stopped(KeyboardInterrupt):
    """The user, or the machine, has asked the program to end.

    Not an Exception: libraries that catch those must not carry on.

    Args:
      number: of the signal.
      account: what becomes of the work, a sentence without its beginning "stopped by SIGTERM".
    """

    def __init__(self, number: int, account: str) -> None:
        super().__init__(number, account)
        self.number = number
        self.status = 128 + number  # what a shell reports of a process that the signal ended
        self.account = account

    def __str__(self) -> str:
        return f"stopped by {SIGNALS[signal.Signals(self.number)]}{self.account}"


class _State:
    """What the process does about signals. There is one, as there is one process."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.doing = "; nothing had begun"
        self.told = 0  # how many signals have come
        self.number = 0  # of the first of them
        self.waits_for_step = False
        self.tell: Callable[[], None] = lambda: None
        self.raised: Callable[[], Stopped | None] = lambda: None  # the last one, while it lives


_state = _State()


@contextlib.contextmanager
def noticing_signals() -> Iterator[None]:
    """While it is open, SIGTERM and Ctrl-C raise Stopped, or are `told` where a step is waited for.

    A second one ends the process, within seconds even while TensorFlow computes and Python cannot
    act. In a thread other than the main one it does nothing: Python gives signals to that one only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state
    state = _state = _State()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    before_wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, state), daemon=True).start()
    try:
        yield
    finally:
        state.ended.set()
        signal.set_wakeup_fd(before_wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)  # ends the thread


@contextlib.contextmanager
def during(doing: str) -> Iterator[None]:
    """Says what would be interrupted: the rest of "stopped by SIGTERM ...".

    Args:
      doing: such as "while exporting runs/x; the same command exports it".
    """
    before, _state.doing = _state.doing, f" {doing}"
    try:
        yield
    finally:
        _state.doing = before


@contextlib.contextmanager
def until_step_ends(tell: Callable[[], None]) -> Iterator[None]:
    """While it is open, a first signal waits until somebody asks `told_by`.

    Args:
      tell: called in another thread as soon as the signal comes.

    Raises:
      Stopped: on leaving, if nobody has asked since the signal came.
    """
    _state.waits_for_step, _state.tell = True, tell
    try:
        yield
    finally:
        _state.waits_for_step = False
    if _state.number:
        raise Stopped(_state.number, " after the last step, which is saved")


def told_by() -> int | None:
    """Returns the number of the signal that waits, or None."""
    return _state.number or None


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Puts back what happens on signals: where several machines join, TensorFlow takes SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number: int, frame: Any) -> None:
    del frame
    _state.told += 1
    if _state.waits_for_step and _state.told == 1:
        _state.number = number
        _say(f"{SIGNALS[signal.Signals(number)]}: saves after this step; once more ends at once")
        return
    stop = Stopped(number, _state.doing)
    _state.raised = weakref.ref(stop)
    try:
        raise stop
    finally:
        del stop  # by which this frame would keep it alive


def _watch(reading: int, state: _State) -> None:
    """Ends the process where the main thread does not: at once at the second signal.

    Python calls `_handle` between two of its own instructions only, and TensorFlow may compute, or
    wait for another machine, between them. Or it has called Python from C++ and drops what is
    raised there, as where it asks for an attribute: then the signal comes once more.
    """
    come = 0
    with open(reading, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            come += number[0] in list(SIGNALS)
            if state.waits_for_step and come < 2:
                state.tell()
                continue
            ended = state.ended.wait(_SECONDS_TO_END)
            if not ended and state.told < come:
                _say(f"stopped by {SIGNALS[signal.Signals(number[0])]}{state.doing}")
                os._exit(128 + number[0])
            if not (ended or state.number or state.raised()):
                os.kill(os.getpid(), number[0])


def _say(line: str) -> None:
    """Prints to standard error, also in the midst of another print, where Python's own fails."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{line}\n".encode(errors="replace"))
