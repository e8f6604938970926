"""The one exception that means: the user can mend this."""

from __future__ import annotations


class UserError(Exception):
    """Bad input. Its message is one line that names the flag or file and the remedy.

    `run.py` prints it without a traceback and exits with status 2.
    """
