"""Features as Parquet, NumPy or CSV, each row with the name of its image and its label."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple

import numpy as np
import tensorflow as tf

from simclr_tf.bounds import FEATURE_FILES


class FeatureTable(NamedTuple):
    """Rows that are written one after the other.

    Attributes:
      names: of the images.
      labels: names of their classes, None for an image without.
      features: float32 [n, dim].
    """

    names: list[str]
    labels: list[str | None]
    features: np.ndarray


def write_table(path: str, tables: Iterable[FeatureTable], *, rows: int, dim: int) -> list[str]:
    """Writes features, each file whole or not at all.

    Args:
      path: ends in one of `bounds.FEATURE_FILES`.
      tables: parts of it, one after the other; no more than one is held in memory.
      rows: of all parts.
      dim: numbers of a row.

    Returns:
      The paths of the files.

    Raises:
      OSError, tf.errors.OpError: they cannot be written.
    """
    writers = zip(FEATURE_FILES, _WRITERS, strict=True)
    write = next(writer for suffix, writer in writers if path.endswith(suffix))
    return write(path, tables, rows, dim)


def _write_parquet(path: str, tables: Iterable[FeatureTable], rows: int, dim: int) -> list[str]:
    """Columns `name` and `label`, texts, and `features`, a list of `dim` float32."""
    import pyarrow
    from pyarrow import parquet

    del rows
    vectors = pyarrow.list_(pyarrow.float32(), dim)
    schema = pyarrow.schema(
        [("name", pyarrow.string()), ("label", pyarrow.string()), ("features", vectors)]
    )
    with (
        _aside(path, "wb") as file,
        _Stream(file) as stream,
        parquet.ParquetWriter(stream, schema) as writer,
    ):
        for table in tables:
            flat = pyarrow.array(table.features.reshape(-1))
            features = pyarrow.FixedSizeListArray.from_arrays(flat, dim)
            labels = pyarrow.array(table.labels, pyarrow.string())
            writer.write_table(pyarrow.table([table.names, labels, features], schema=schema))
    return [path]


def _write_numpy(path: str, tables: Iterable[FeatureTable], rows: int, dim: int) -> list[str]:
    """The features alone, float32 [n, dim]; names and labels in a CSV file beside it."""
    beside = path.removesuffix(".npy") + ".names.csv"
    with _aside(path, "wb") as file, _aside(beside, "w") as text:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, shape)
        file.write(head.getvalue())
        lines = _csv(text, ["name", "label"])
        for table in tables:
            file.write(np.ascontiguousarray(table.features, "<f4").tobytes())
            lines.writerows(zip(table.names, table.labels))
    return [path, beside]


def _write_csv(path: str, tables: Iterable[FeatureTable], rows: int, dim: int) -> list[str]:
    """Columns `name`, `label`, and `0` to `dim - 1`."""
    del rows
    with _aside(path, "w") as text:
        lines = _csv(text, ["name", "label", *map(str, range(dim))])
        for table in tables:
            columns = zip(table.names, table.labels, table.features)
            lines.writerows([name, label, *map(str, row)] for name, label, row in columns)
    return [path]


_WRITERS: tuple[Callable[[str, Iterable[FeatureTable], int, int], list[str]], ...]
_WRITERS = _write_parquet, _write_numpy, _write_csv


class _Stream(io.RawIOBase):
    """A file of TensorFlow's as Python's own are: pyarrow asks whether it is closed."""

    def __init__(self, file: IO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._file.write(bytes(content))
        return len(content)


def _csv(text: Any, header: list[str]) -> Any:
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(header)
    return lines


@contextmanager
def _aside(path: str, mode: str) -> Iterator[IO]:
    """Opens a file that gets its name when it is complete; see `files.write_bytes`."""
    aside = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with tf.io.gfile.GFile(aside, mode) as file:
            yield file
        tf.io.gfile.rename(aside, path, overwrite=True)
    except BaseException:
        with suppress(OSError, tf.errors.OpError):
            tf.io.gfile.remove(aside)
        raise
