"""What is written is read back by the libraries that own the formats."""

import csv
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.embedding import FeatureTable, Part, Parts, write_table

FEATURES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
NAMES, LABELS = ["a.png", "b, c/d.png", 'e"f".png', "gänse.png", "h.png"], ["x", None, "y", "x", ""]


def tables() -> list[FeatureTable]:
    return [
        FeatureTable(NAMES[rows], LABELS[rows], FEATURES[rows])
        for rows in (slice(0, 2), slice(2, 5))
    ]


def test_parquet(tmp_path: Path) -> None:
    path = str(tmp_path / "features.parquet")
    assert write_table(path, tables(), rows=5, dim=3) == [path]
    table = parquet.read_table(path)
    assert table["name"].to_pylist() == NAMES and table["label"].to_pylist() == LABELS
    np.testing.assert_array_equal(np.array(table["features"].to_pylist(), np.float32), FEATURES)


def test_numpy_and_the_names_beside_it(tmp_path: Path) -> None:
    path = str(tmp_path / "features.npy")
    written = write_table(path, tables(), rows=5, dim=3)
    assert written == [path, str(tmp_path / "features.names.csv")]
    found = np.load(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, FEATURES)
    with open(written[1], newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["name", "label"],
            *([name, label or ""] for name, label in zip(NAMES, LABELS)),
        ]


def test_csv_holds_every_bit(tmp_path: Path) -> None:
    path = str(tmp_path / "features.csv")
    write_table(path, tables(), rows=5, dim=3)
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["name", "label", "0", "1", "2"]
    assert [row[0] for row in rows] == NAMES
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), FEATURES)


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    def broken():
        yield tables()[0]
        raise tf.errors.DataLossError(None, None, "gone")

    for name in ("f.parquet", "f.npy", "f.csv"):
        with pytest.raises(tf.errors.DataLossError):
            write_table(str(tmp_path / name), broken(), rows=5, dim=3)
    assert not list(tmp_path.iterdir())


def part(first: int, count: int) -> Part:
    places = np.arange(first, first + count)
    return Part(places, FEATURES[places], places % 2, np.zeros([1, 2, 2, 3], np.uint8))


def test_parts_are_gone_on_with_if_they_are_of_the_same(tmp_path: Path) -> None:
    folder = str(tmp_path / "parts")
    parts = Parts(folder, {"layer": "h"})
    assert parts.count == 0 and not (tmp_path / "parts").exists()
    parts.add(part(0, 3))
    parts.add(part(3, 2))
    (tmp_path / "parts" / "000003.npz").touch()  # behind a gap: does not count
    again = Parts(folder, {"layer": "h"})
    assert again.count == 2
    np.testing.assert_array_equal(np.concatenate([p.features for p in again]), FEATURES)
    np.testing.assert_array_equal(np.concatenate([p.labels for p in again]), [0, 1, 0, 1, 0])
    assert Parts(folder, {"layer": "z"}).count == 0
    assert not (tmp_path / "parts").exists()
