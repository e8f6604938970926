"""Command lines of argparse whose errors read as those of `simclr_tf.run` do."""

from __future__ import annotations

import argparse
from typing import NoReturn

from simclr_tf.errors import UserError, print_error


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser that says in one line what is wrong, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and ends the process with the status of bad input."""
        raise SystemExit(print_error(UserError(message)))
