"""evaluation.json and evaluation.csv: the figures of protocols, each with all that it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simclr_tf import files
from simclr_tf.evaluation.figures import Figure, as_csv
from simclr_tf.runs.folder import writing
from simclr_tf.runs.frozen import FrozenEncoder
from simclr_tf.runs.initial_weights import step_of

NAME = "evaluation"

_PLACE = ("protocol", "dataset", "train_split", "eval_split", "image_size")
_NEEDED = {*_PLACE, "case", "metric", "value", "settings", "encoder_sha256"}

Row = dict[str, Any]


def rows_of(
    frozen: FrozenEncoder, figures: Sequence[Figure], *, before: str, after: str
) -> list[Row]:
    """Returns figures with data, checkpoint and hashes, so that each means something by itself.

    Args:
      frozen: the encoder.
      figures: of it.
      before: hash of its variables, before they were measured.
      after: the same, afterwards.
    """
    data, weights = frozen.config.data, frozen.weights
    of_all = {
        "train_split": data.train_split,
        "eval_split": data.eval_split,
        "image_size": data.image_size,
        "checkpoint": None if weights is None else weights.prefix,
        "step": 0 if weights is None else step_of(weights),
        "encoder_sha256": before,
        "encoder_sha256_afterwards": after,
    }
    return [{**figure.to_json(), **of_all} for figure in figures]


def write_rows(folder: str, rows: Sequence[Row]) -> None:
    """Writes both files, with what earlier ones say of the same weights and is not replaced.

    Args:
      folder: model_dir.
      rows: of one encoder, one at least.

    Raises:
      RunFailed: they cannot be written.
    """
    every = [*_kept(folder, rows), *rows]
    with writing(folder, f"{NAME}.json, {[row['value'] for row in rows]},"):
        files.write_json(files.join(folder, f"{NAME}.json"), {"figures": every})
        files.write_text(files.join(folder, f"{NAME}.csv"), as_csv(every))


def read_rows(folder: str) -> list[Row]:
    """Returns what evaluation.json in `folder` lists; nothing where it is damaged, or not there."""
    try:
        stored = files.read_json(files.join(folder, f"{NAME}.json")) or {"figures": []}
        return [row for row in stored["figures"] if row.keys() >= _NEEDED]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []


def _kept(folder: str, rows: Sequence[Row]) -> list[Row]:
    others = [row for row in read_rows(folder) if _place(row) not in map(_place, rows)]
    return [row for row in others if row["encoder_sha256"] == rows[0]["encoder_sha256"]]


def _place(row: Row) -> tuple[Any, ...]:
    """Returns what a figure of the same place replaces: the protocol and the data."""
    return tuple(row[name] for name in _PLACE)
