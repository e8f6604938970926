"""What becomes of signals, in one process; whole runs are in test_signals.py."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

from simclr_tf import stopping
from simclr_tf.stopping import Stopped

pytestmark = pytest.mark.smoke


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_outside_training_it_ends_at_once_and_says_where(number, status, name) -> None:
    before = signal.getsignal(number)
    with stopping.noticing_signals():
        with stopping.during("while asleep"):
            pass
        with (
            stopping.during("while exporting; all is saved"),
            pytest.raises(Stopped) as caught,
        ):
            send(number)
    assert str(caught.value) == f"stopped by {name} while exporting; all is saved"
    assert caught.value.status == status
    assert not isinstance(caught.value, Exception), "no library may swallow it"
    assert signal.getsignal(number) == before


def test_in_training_it_waits_for_the_step_and_tells_at_once() -> None:
    told = threading.Event()
    with stopping.noticing_signals(), stopping.until_step_ends(told.set):
        assert stopping.told_by() is None
        send()
        assert stopping.told_by() == signal.SIGTERM
        assert told.wait(2), "while the main thread may be in a step"
        stopping._state.number = 0  # as if it had been dealt with


def test_the_second_one_does_not_wait() -> None:
    with stopping.noticing_signals(), stopping.until_step_ends(lambda: None):
        send(signal.SIGINT)
        with pytest.raises(Stopped):
            send(signal.SIGINT)
        stopping._state.number = 0  # as if it had been dealt with


def test_after_the_last_step_it_is_not_forgotten() -> None:
    with (
        stopping.noticing_signals(),
        pytest.raises(Stopped, match="SIGTERM after the last step, which is saved"),
        stopping.until_step_ends(lambda: None),
    ):
        send()


def test_one_that_is_dropped_comes_again(monkeypatch) -> None:
    """As where TensorFlow's C++ asks Python for an attribute, and clears whatever it raises."""
    monkeypatch.setattr(stopping, "_SECONDS_TO_END", 0.1)
    with stopping.noticing_signals():
        with contextlib.suppress(Stopped):
            send()
        with pytest.raises(Stopped):
            time.sleep(10)
    with stopping.noticing_signals():
        with pytest.raises(Stopped) as caught:
            send()
        time.sleep(0.5)  # what is being dealt with does not
    assert caught.value.number == signal.SIGTERM


def test_in_another_thread_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stopping.noticing_signals(), stopping.kept():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_takes_a_signal_away_gives_it_back() -> None:
    with stopping.noticing_signals():
        ours = signal.getsignal(signal.SIGTERM)
        with stopping.kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) == ours
