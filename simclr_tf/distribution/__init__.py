"""Where the training runs, and how its replicas talk to each other."""

from simclr_tf.distribution.gather import (
    context_of_many_replicas,
    gather_replicas,
    gather_sizes,
    num_replicas,
    replica_offset,
    replica_share,
    sum_scalars,
)
from simclr_tf.distribution.loops import repeat
from simclr_tf.distribution.moments import merge_moments
from simclr_tf.distribution.strategy import choose_strategy
from simclr_tf.distribution.workers import (
    Workers,
    noticing_lost_workers,
    sum_over_workers,
    workers_of,
)

__all__ = [
    "Workers",
    "choose_strategy",
    "context_of_many_replicas",
    "gather_replicas",
    "gather_sizes",
    "merge_moments",
    "noticing_lost_workers",
    "num_replicas",
    "repeat",
    "replica_offset",
    "replica_share",
    "sum_over_workers",
    "sum_scalars",
    "workers_of",
]
