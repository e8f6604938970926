"""Checkpoints that say what they are, and loading that accounts for every variable."""

from simclr_tf.checkpoints.metadata import make_metadata
from simclr_tf.checkpoints.restore import compare, restore_parts
from simclr_tf.checkpoints.source import Source, find_source
from simclr_tf.checkpoints.training_state import TrainingState
from simclr_tf.checkpoints.variables import assign_parts, read_parts, variables_by_path

__all__ = [
    "Source",
    "TrainingState",
    "assign_parts",
    "compare",
    "find_source",
    "make_metadata",
    "read_parts",
    "restore_parts",
    "variables_by_path",
]
