"""Weight decay as a term of the loss."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf


def l2_penalty(variables: Iterable[tf.Variable], weight_decay: float) -> tf.Tensor:
    """Returns `weight_decay * sum over variables of ||v||^2 / 2`, as a float32 scalar.

    For optimizers that do not decay weights themselves (momentum, adam). Its gradient is
    `weight_decay * v`. Without variables it is 0.
    """
    squares = [tf.nn.l2_loss(tf.cast(variable, tf.float32)) for variable in variables]
    return weight_decay * tf.add_n(squares) if squares else tf.zeros([])
