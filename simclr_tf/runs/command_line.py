"""Commands as a user may paste them into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def command_line(settings: Mapping[str, Any]) -> str:
    """Returns the command with these settings as flags; those that are None are left out."""
    flags = (
        shlex.quote(f"--{name}={_text(value)}")
        for name, value in settings.items()
        if value is not None
    )
    return " ".join(["python -m simclr_tf.run", *flags])


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
