"""Where the client keeps the features that a server answers with, from the first answer on."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from simclr_tf.errors import SettingError

Add = Callable[[Sequence[str], Sequence[np.ndarray]], None]
"""Takes names of pictures, and as many features, float32 [dim]; then files are whole again."""


@contextlib.contextmanager
def writing_features(path: str | None) -> Iterator[Add]:
    """Yields what writes features to a file; None for none.

    Args:
      path: `.npy`, float32 [pictures, dim], with a CSV file of their names beside it; or `.csv`,
        columns `name` and `0` to `dim - 1`. What is there is replaced.

    Raises:
      SettingError: it cannot be written, or ends otherwise.
    """
    if path is not None:
        _check(path)
    adding: list[Add] = []
    with contextlib.ExitStack() as stack:

        def add(names: Sequence[str], features: Sequence[np.ndarray]) -> None:
            if path is None or not features:
                return
            try:
                if not adding:  # what is there stays until there is something in its place
                    adding.append(_open(path, stack))
                adding[0](names, features)
            except OSError as error:
                raise _cannot_be_written(path, error.strerror) from None

        yield add


def _check(path: str) -> None:
    if not path.endswith((".npy", ".csv")):
        raise SettingError("output", path, "must end in .npy or .csv")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise SettingError("output", path, f": {folder} is no folder", "make it first")
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise _cannot_be_written(path, "it is a folder" if os.path.isdir(path) else "not permitted")


def _open(path: str, stack: contextlib.ExitStack) -> Add:
    def open_text(name: str) -> IO:
        return stack.enter_context(Path(name).open("w", encoding="utf-8", newline=""))

    if path.endswith(".csv"):
        return _add_to_csv(open_text(path))
    names = open_text(f"{path.removesuffix('.npy')}.names.csv")
    return _add_to_numpy(stack.enter_context(Path(path).open("wb")), names)


def _add_to_csv(file: IO) -> Add:
    lines = csv.writer(file, lineterminator="\n")

    def add(names: Sequence[str], features: Sequence[np.ndarray]) -> None:
        if not file.tell():
            lines.writerow(["name", *range(len(features[0]))])
        lines.writerows([name, *map(str, row)] for name, row in zip(names, features))
        file.flush()

    return add


def _add_to_numpy(file: IO, names_file: IO) -> Add:
    """The header, which says how many rows follow, is written anew with each answer."""
    lines = csv.writer(names_file, lineterminator="\n")
    lines.writerow(["name"])
    written = 0

    def add(names: Sequence[str], features: Sequence[np.ndarray]) -> None:
        nonlocal written
        rows = np.ascontiguousarray(features, "<f4")
        if not written:
            file.write(_header(0, rows.shape[1]))
        written += len(rows)
        file.write(rows.tobytes())
        file.seek(0)
        file.write(_header(written, rows.shape[1]))
        file.seek(0, io.SEEK_END)
        lines.writerows([name] for name in names)
        file.flush()
        names_file.flush()

    return add


def _header(rows: int, dim: int) -> bytes:
    """Of a .npy file. NumPy leaves room in it for any number of rows."""
    file = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
    np.lib.format.write_array_header_1_0(file, shape)
    return file.getvalue()


def _cannot_be_written(path: str, reason: str | None) -> SettingError:
    return SettingError("output", path, f"cannot be written: {reason}")
