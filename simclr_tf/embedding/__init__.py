"""Features as files; and pictures that are nearest, doubled or far from all others."""

from simclr_tf.embedding.feature_files import FeatureTable, write_table
from simclr_tf.embedding.likeness import Likeness
from simclr_tf.embedding.parts import Part, Parts
from simclr_tf.embedding.projector import Projector

__all__ = ["FeatureTable", "Likeness", "Part", "Parts", "Projector", "write_table"]
