"""Where the training runs, and how its replicas talk to each other."""

from simclr_tf.distribution.gather import gather_replicas, replica_offset, replica_share
from simclr_tf.distribution.strategy import choose_strategy

__all__ = ["choose_strategy", "gather_replicas", "replica_offset", "replica_share"]
