"""The exceptions that end a run without a traceback, and the one place that prints them."""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

_NAMED = re.compile(r"`(\w+)((?:=.*?)?)`(?!\w)")

_INSIDES = re.compile(r"^\{\{.*?\}\} | \[Op:\w+\]( name: *)?$")


class UserError(Exception):
    """Bad input. Its message is one line that says what is wrong and how to mend it.

    Settings that the message names stand between backticks, `name` or `name=value`: whoever prints
    it writes them as its reader knows them, as flags on a command line.
    """

    status = 2


class SettingError(UserError):
    """A setting that cannot work.

    Args:
      field: its name.
      value: its value; None where it is missing.
      reason: what is wrong, a predicate such as "must be above 0"; or a sentence after a colon,
        ": no such file".
      remedy: what to do about it, or "" where the reason says so.
    """

    def __init__(self, field: str, value: Any, reason: str, remedy: str = "") -> None:
        self.field = field
        self.value = value
        self.reason = reason
        self.remedy = remedy
        named = f"`{field}`" if value is None else f"`{field}={_shown(value)}`"
        gap = "" if reason.startswith(":") else " "
        super().__init__(f"{named}{gap}{reason}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.field, self.value, self.reason, self.remedy)


class RunFailed(UserError):
    """The run itself failed: nothing that was asked is wrong, but it cannot go on as it is."""

    status = 70  # sysexits.h: EX_SOFTWARE


class LostWorker(UserError):
    """Another machine of the run is gone. The same command goes on."""

    status = 75  # sysexits.h: EX_TEMPFAIL, try again


def print_error(error: Exception, file: TextIO | None = None) -> int:
    """Prints one line, "error: --flag=value ...", and returns the exit status.

    Args:
      error: what ended the command.
      file: where to; standard error if None.
    """
    print("error: " + " ".join(as_flags(str(error)).split()), file=file or sys.stderr)
    return getattr(error, "status", UserError.status)


def as_flags(text: str) -> str:
    """Returns a text in which settings, between backticks, are written as flags."""
    return _NAMED.sub(r"--\1\2", text)


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or the error's name if it has none.

    What TensorFlow adds about its own insides is left out.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return _INSIDES.sub("", line)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
