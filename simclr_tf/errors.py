"""The exceptions that end a run without a traceback: the message says what to do."""

from __future__ import annotations


class UserError(Exception):
    """Bad input. Its message is one line that names the flag or file and the remedy.

    `run.py` prints it without a traceback and exits with status 2.
    """

    status = 2


class LostWorker(UserError):
    """Another machine of the run is gone. The same command goes on."""

    status = 75  # sysexits.h: EX_TEMPFAIL, try again


class Preempted(UserError):
    """The machine is about to be taken away (SIGTERM). The state is saved."""

    status = 143  # what a shell reports of a process that SIGTERM ended


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or the error's name if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
