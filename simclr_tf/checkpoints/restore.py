"""Weights from a checkpoint: every variable accounted for, or an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf.checkpoints.reader import NotFinite, errors_naming, open_reader
from simclr_tf.checkpoints.stored_weights import StoredWeights
from simclr_tf.checkpoints.variables import fingerprint_of, variables_by_path
from simclr_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A network's variables beside a checkpoint's, by path."""

    matched: list[str]
    missing: list[str]
    """In the network only."""
    unexpected: list[str]
    """In the checkpoint only."""
    mismatched: list[str]
    """In both, but of different shapes; each with the two shapes."""

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)

    def counts(self) -> str:
        return (
            f"{len(self.matched)} variables matched, {len(self.missing)} missing, "
            f"{len(self.unexpected)} unexpected, {len(self.mismatched)} mismatched"
        )

    def problems(self, shown: int | None = 3) -> list[str]:
        """Returns a line for each kind of misfit, naming the first `shown` variables."""
        kinds = {
            "missing in the checkpoint": self.missing,
            "not in this network": self.unexpected,
            "of another shape": self.mismatched,
        }
        return [
            f"{len(names)} {kind}: {', '.join(names[:shown])}"
            + (", ..." if shown is not None and len(names) > shown else "")
            for kind, names in kinds.items()
            if names
        ]


def compare(
    expected: Mapping[str, tf.Variable], weights: StoredWeights, parts: Iterable[str]
) -> Comparison:
    """Compares variables by path with what the checkpoint holds of the same parts.

    What belongs to no part of a network at all counts as unexpected.
    """
    asked = set(parts)
    stored = {path for path in weights.keys if path.split("/")[0] in asked}
    shapes = {path: variable.shape.as_list() for path, variable in expected.items()}
    both = sorted(expected.keys() & stored)
    return Comparison(
        matched=[path for path in both if weights.shapes[path] == shapes[path]],
        missing=sorted(expected.keys() - stored),
        unexpected=sorted([*(stored - expected.keys()), *weights.unknown]),
        mismatched=[
            f"{path} {weights.shapes[path]} there, {shapes[path]} here"
            for path in both
            if weights.shapes[path] != shapes[path]
        ],
    )


def restore_parts(
    parts: Mapping[str, Any], weights: StoredWeights, *, allow_partial: bool = False
) -> str:
    """Sets every variable of `parts` from the checkpoint, or none.

    Args:
      parts: built layers by the name under which checkpoints hold them (`encoder`, ...). Parts of
        the checkpoint that are not named here stay unread.
      weights: from `find_weights`.
      allow_partial: set the variables that match and leave the others as they are, as long as one
        of the encoder's matches.

    Returns:
      What was restored: a line, and if not all was, one more for each kind of misfit.

    Raises:
      UserError: unreadable, or a variable is missing, unexpected or of another shape.
      NotFinite: a variable holds what is no number.
    """
    expected = variables_by_path(parts)
    comparison = compare(expected, weights, parts)
    useless = "encoder" in parts and not any(p.startswith("encoder/") for p in comparison.matched)
    if useless or not (comparison.fits or allow_partial):
        remedy = "give another `checkpoint`"
        if not useless:
            remedy += ", or add `allow_partial_checkpoint` to take what fits"
        raise UserError(
            f"checkpoint {weights.prefix} does not fit this network: "
            f"{'; '.join(comparison.problems())}; {remedy}"
        )
    reader = open_reader(weights.prefix)
    with errors_naming(weights.prefix):
        values = {
            path: _as_stored(reader.get_tensor(weights.keys[path]), expected[path])
            for path in comparison.matched
        }
    for path, value in values.items():
        if value.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(value)):
            raise NotFinite(
                f"checkpoint {weights.prefix} holds values that are no numbers ({path}): its "
                "training has diverged; give an earlier `checkpoint`"
            )
    for path, value in values.items():
        expected[path].assign(value)
    lines = [f"{', '.join(parts)} from {weights.prefix} ({weights.kind}): {comparison.counts()}"]
    if weights.ignored:
        lines[0] += f"; {weights.ignored} of the optimizer and step ignored"
    if not comparison.fits:
        lines += [f"left as initialized or unread, {p}" for p in comparison.problems(shown=None)]
    return "\n".join(lines)


def stored_fingerprint(weights: StoredWeights) -> str:
    """Returns the `fingerprint` that a network has once these weights are restored into it.

    It is of all parts that are stored, as float32: of a run's checkpoint and of the SavedModel made
    of it, it is the same.

    Raises:
      UserError: unreadable.
    """
    reader = open_reader(weights.prefix)
    with errors_naming(weights.prefix):
        values = {path: reader.get_tensor(key) for path, key in weights.keys.items()}
    return fingerprint_of(
        {
            path: value.astype(np.float32) if tf.as_dtype(value.dtype).is_floating else value
            for path, value in values.items()
        }
    )


def _as_stored(value: Any, variable: tf.Variable) -> tf.Tensor:
    """Returns `value` in the variable's type; floats of 16 bits become floats of 32."""
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype.is_floating and variable.dtype.is_floating:
        return tf.cast(tensor, variable.dtype)
    if tensor.dtype != variable.dtype:
        raise ValueError(f"{variable.name} is {tensor.dtype.name} there")
    return tensor
