"""Whether somebody watches a run on a terminal, and how long things take, in words."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def is_watched() -> bool:
    """Says whether progress is shown on a terminal, where a line can be drawn again."""
    return sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Returns a time in its two largest units, such as `3 min 12 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)


@contextlib.contextmanager
def ending_where_nobody_reads() -> Iterator[None]:
    """Raises BrokenPipeError where what is printed has no reader, such as `head`, any more.

    Until it closes, all is printed. Its caller ends with status 141, which is what a shell reports
    of a process that SIGPIPE ended.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes what it could not write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
