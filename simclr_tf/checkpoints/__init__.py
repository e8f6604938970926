"""Checkpoints that say what they are, and loading that accounts for every variable."""

from simclr_tf.checkpoints.description import Description
from simclr_tf.checkpoints.restore import compare, restore_parts, stored_fingerprint
from simclr_tf.checkpoints.stored_weights import StoredWeights, find_weights
from simclr_tf.checkpoints.variables import (
    assign_parts,
    fingerprint,
    fingerprint_of,
    read_parts,
    variables_by_path,
)

__all__ = [
    "Description",
    "StoredWeights",
    "assign_parts",
    "compare",
    "find_weights",
    "fingerprint",
    "fingerprint_of",
    "read_parts",
    "restore_parts",
    "stored_fingerprint",
    "variables_by_path",
]
