"""What a run takes, in words."""

from __future__ import annotations

import dataclasses

from simclr_tf import terminal
from simclr_tf.runs.timing import RunPace

CLOSE_ABOVE = 0.85
"""The share of the memory there is from which on the start screen warns."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run takes.

    Attributes:
      memory: of the process or the GPU at its peak, in bytes.
      room: what it may take at most, in bytes.
      step_seconds: of one step of the whole batch, its views included.
      seconds: of all steps that are left and their checkpoints.
      speed: images, of which pre-training makes pairs, in a second.
      unit: `pairs` or `images`.
      pace: of steps of the whole batch, None where none was taken.
    """

    memory: int
    room: int
    step_seconds: float
    seconds: float
    speed: float
    unit: str
    pace: RunPace | None

    def lasting(self, times: float) -> Cost:
        """Returns what a run takes that is so many times as long."""
        return dataclasses.replace(self, seconds=times * self.seconds)

    def rows(self) -> list[tuple[str, str]]:
        """Returns what the start screen says of it."""
        close = ", which is close" if self.memory > CLOSE_ABOVE * self.room else ""
        waits = "" if self.pace is None else f"; {self.pace.waiting:.0%} of the time goes into data"
        return [
            ("memory", f"about {gigabytes(self.memory)} of {gigabytes(self.room)} free{close}"),
            (
                "time",
                f"about {terminal.duration(self.seconds)}; {self.step_seconds:.2g} s a step",
            ),
            ("speed", f"{self.speed:,.3g} {self.unit}/s{waits}"),
        ]


def gigabytes(size: float) -> str:
    """Returns a size in words."""
    if size < 1e9:
        return f"{size / 1e6:.3g} MB"
    return f"{size / 1e9:.2g} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"
