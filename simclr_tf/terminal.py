"""Whether somebody watches a run on a terminal, and how long things take, in words."""

from __future__ import annotations

import sys


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
