"""Collectives over replicas. Each of them does nothing where there is one replica or no strategy.

All replicas must call them, in the same order: a replica that skips one leaves the others waiting.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def gather_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Concatenates every replica's tensor, in the order of replica ids. Gradients flow to all.

    Args:
      tensor: float [local, ...]; `local` may differ between replicas, except on TPUs. bfloat16
        travels as float32.

    Returns:
      [global, ...] with `global` the sum of all `local`. Its static shape is known on TPUs if that
      of `tensor` is.
    """
    context = context_of_many_replicas()
    if context is None:
        return tensor
    if tensor.dtype == tf.bfloat16:
        # The collectives of CPUs and GPUs do not support bfloat16; also, its gradients would be
        # summed over replicas in 8 bits.
        return tf.cast(context.all_gather(tf.cast(tensor, tf.float32), axis=0), tf.bfloat16)
    return context.all_gather(tensor, axis=0)


def replica_offset(local_size: int | tf.Tensor) -> tf.Tensor:
    """Where this replica's rows begin in what `gather_replicas` returns.

    Args:
      local_size: the number of rows on this replica.

    Returns:
      int32 scalar: the number of rows on the replicas with smaller ids.
    """
    context = context_of_many_replicas()
    if context is None:
        return tf.zeros([], tf.int32)
    sizes = gather_sizes(local_size)
    # A mask, because a slice up to the replica id would have no static shape for XLA.
    replica_id = tf.cast(context.replica_id_in_sync_group, tf.int32)
    earlier = tf.range(context.num_replicas_in_sync) < replica_id
    return tf.reduce_sum(tf.where(earlier, sizes, tf.zeros_like(sizes)))


def replica_share(local_size: int | tf.Tensor) -> tf.Tensor:
    """The part of the global batch that this replica holds, or of several things at once.

    Keras sums gradients over replicas. A loss that is a mean over the local batch, times this,
    gives the gradient of the mean over the global batch, also if the last batch is uneven.

    Args:
      local_size: the number of rows on this replica, a scalar; or several numbers [n].

    Returns:
      float32 of the same shape: `local_size / global_size`, 0 if there is none anywhere.
    """
    local = tf.cast(local_size, tf.float32)
    if context_of_many_replicas() is None:
        return tf.math.divide_no_nan(local, local)
    everywhere = tf.reduce_sum(gather_sizes(local_size), axis=0)
    return tf.math.divide_no_nan(local, tf.cast(everywhere, tf.float32))


def sum_scalars(values: Any) -> Any:
    """Sums scalars over replicas, all of them in one collective.

    Args:
      values: a structure of float32 scalars, such as a dictionary of pairs.

    Returns:
      The same structure.
    """
    context = context_of_many_replicas()
    if context is None:
        return values
    packed = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack(tf.nest.flatten(values)))
    return tf.nest.pack_sequence_as(values, tf.unstack(packed))


def num_replicas() -> int:
    """Returns how many replicas share a batch."""
    context = context_of_many_replicas()
    return 1 if context is None else context.num_replicas_in_sync


def gather_sizes(local_size: int | tf.Tensor) -> tf.Tensor:
    """Returns every replica's number, int32 [replicas], or [replicas, n] of several numbers."""
    return gather_replicas(tf.cast(local_size, tf.int32)[tf.newaxis])


def context_of_many_replicas() -> tf.distribute.ReplicaContext | None:
    """Returns the replica context, or None outside replicas and where there is only one."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context
