"""Checkpoints that say what they are, and loading that accounts for every variable."""

from simclr_tf.checkpoints.metadata import make_metadata
from simclr_tf.checkpoints.restore import Source, find_source, restore_parts
from simclr_tf.checkpoints.training_state import TrainingState
from simclr_tf.checkpoints.variables import copy_parts, variables_by_path

__all__ = [
    "Source",
    "TrainingState",
    "copy_parts",
    "find_source",
    "make_metadata",
    "restore_parts",
    "variables_by_path",
]
