"""What layers compute in: the process's own precision, and that which they were saved in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf


def use_precision(name: str) -> None:
    """Has layers that are made from now on compute in `float32`, `bfloat16` or `float16`."""
    policy = name if name == "float32" else f"mixed_{name}"
    tf.keras.mixed_precision.set_global_policy(policy)


@contextlib.contextmanager
def under_policy(name: str) -> Iterator[None]:
    """Gives the layers that are made inside this mixed-precision policy."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
