"""What `--help` and its relatives print."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

from absl import flags

from simclr_tf import flag_definitions
from simclr_tf.bounds import OneOf
from simclr_tf.version import __version__

_USAGE = """SimCLR for TensorFlow: pre-train, evaluate, fine-tune and export image encoders.

  python -m simclr_tf.run --train_mode=pretrain --dataset=cifar10 --image_size=32 ...
  python -m simclr_tf.run --train_mode=finetune --checkpoint=runs/NAME ...
  python -m simclr_tf.run --flagfile=RECIPE [--any_flag=overrides]

`simclr_tf` and `python -m simclr_tf` are the same command.
"""


class HelpWanted(Exception):
    """The command line asks for help. Its message is the page."""


class _HelpFlag(flags.BooleanFlag):
    """Ends parsing where it stands, as absl's own does: what comes after it is not looked at."""

    def __init__(
        self, name: str, text: str, short_name: str | None = None, *, page: Callable[[], str]
    ) -> None:
        super().__init__(name, False, text, short_name=short_name)
        self._make_page = page

    def parse(self, argument: Any) -> None:
        if self.parser.parse(argument):
            raise HelpWanted(self._make_page())


def define(values: flags.FlagValues) -> None:
    """Defines `--help`, `-h`, `-?`, `--helpfull`, `--helpshort` and `--version` on `values`."""
    for flag in (
        _HelpFlag("help", "Show every flag with its meaning.", "h", page=_page),
        _HelpFlag("helpfull", "The same.", "?", page=_page),
        _HelpFlag("helpshort", "Show every flag with its default.", page=brief_page),
        _HelpFlag("version", "Show the version.", page=lambda: f"simclr_tf {__version__}"),
    ):
        flags.DEFINE_flag(flag, flag_values=values)


def _page() -> str:
    lines = [_USAGE]
    for group in flag_definitions.GROUPS:
        lines.append(f"{group.title}:")
        for row in group.flags:
            lines.append(f"  --{row.name}")
            facts = [row.text]
            if isinstance(row.bound, OneOf):
                facts.append(f"{str(row.bound).capitalize()}.")
            elif row.bound is not None:
                facts.append(f"Must be {row.bound}.")
            if row.default is not None:
                facts.append(f"Default: {_shown(row.default)}.")
            lines += textwrap.wrap(
                " ".join(facts),
                92,
                initial_indent=" " * 6,
                subsequent_indent=" " * 6,
                break_on_hyphens=False,
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def brief_page() -> str:
    """Returns usage and every flag with its default."""
    lines = [_USAGE, "Every flag with its default; --help says what they mean."]
    for group in flag_definitions.GROUPS:
        lines += ["", f"{group.title}:"]
        for row in group.flags:
            default = "" if row.default is None else _shown(row.default)
            lines.append(f"  --{row.name}={default}")
    return "\n".join(lines)


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(f"{x:g}" if isinstance(x, (int, float)) else x for x in default)
    return str(default)
