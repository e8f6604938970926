"""Layers of the precision that they were saved in, whatever the process's own is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def under_policy(name: str) -> Iterator[None]:
    """Gives the layers that are made inside this mixed-precision policy."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
