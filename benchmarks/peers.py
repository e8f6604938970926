"""The peers that a benchmark is given on its command line."""

from __future__ import annotations

import argparse
import os
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds where the peers are."""
    home = os.path.expanduser  # the shell leaves ~ alone after =
    add = parser.add_argument
    add("--reference_checkout", type=home, help="a checkout of google-research/simclr")
    add("--lightly_python", type=home, help="a Python in which lightly is installed")


def find(args: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the Python of each peer that is there, and the environment for all contenders.

    Prints what is left out.
    """
    pythons = {}
    if args.reference_checkout:
        pythons["reference"] = sys.executable
    else:
        print("reference: left out, no --reference_checkout")
    if args.lightly_python:
        pythons["lightly"] = args.lightly_python
    else:
        print("lightly: left out, no --lightly_python")
    return pythons, {**os.environ, "REFERENCE_CHECKOUT": args.reference_checkout or ""}
