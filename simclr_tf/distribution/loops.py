"""Loops whose body may call collectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf.distribution.gather import context_of_many_replicas


def repeat(
    body: Callable[[tf.Tensor, Any, Any], Any],
    count: int | tf.Tensor,
    state: Any,
    constants: Any,
) -> Any:
    """Calls `body(index, state, constants)`, which returns the next state, `count` times in a row.

    On one device, and on TPUs, that is a loop in the replica. Replicas that TensorFlow traces in
    threads of their own cannot call collectives in one; they meet, and the loop runs around them
    all. So `body` gets all tensors as arguments: those of the replica that it then runs in.

    Args:
      body: of tensors alone, besides variables.
      count: the same on all replicas.
      state: a structure of tensors, those of this replica.
      constants: likewise, which stay as they are.

    Returns:
      The last state.
    """
    context = context_of_many_replicas()
    if context is None or isinstance(context.strategy, tf.distribute.TPUStrategy):
        return _loop(lambda i, now: body(i, now, constants), count, state)

    def around(
        strategy: tf.distribute.Strategy, count: Any, state: Any, constants: Any
    ) -> Any:  # in which each tensor is those of all replicas
        (count, *_) = strategy.experimental_local_results(count)
        return _loop(lambda i, now: strategy.run(body, args=(i, now, constants)), count, state)

    state = context.merge_call(around, args=(count, state, constants))
    # What a loop around replicas returns is on no device of theirs, and would be reduced singly.
    return tf.nest.map_structure(tf.identity, state)


def _loop(body: Callable[[tf.Tensor, Any], Any], count: int | tf.Tensor, state: Any) -> Any:
    _, state = tf.while_loop(
        lambda i, _: i < count,
        lambda i, now: (i + 1, body(i, now)),
        (tf.constant(0), state),
        parallel_iterations=1,  # two at a time would hold the memory of two
    )
    return state
