"""Steps that leave no trace, to see what they cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf.training.stepping import Stepping


@contextlib.contextmanager
def rehearsing(model: Stepping, strategy: tf.distribute.Strategy) -> Iterator[int]:
    """While it is open, steps may be taken: in the end every variable is what it was, bit for bit.

    Weights, statistics, the optimizer's state, metrics; on every replica.

    Args:
      model: compiled.
      strategy: under which it was built.

    Yields:
      How many bytes are held to put back.
    """
    model.build_optimizer()  # what it creates in its first step would not be known here
    found = [v for v in tf.train.TrackableView(model).descendants() if isinstance(v, tf.Variable)]
    slots = model.optimizer.variables  # tensorflow-addons' are found here alone
    found += slots() if callable(slots) else slots
    variables = [v for each in found for v in strategy.experimental_local_results(each)]
    before = [variable.numpy() for variable in variables]
    try:
        yield sum(value.nbytes for value in before)
    finally:
        for variable, value in zip(variables, before):
            variable.assign(value)
