"""Keeps the first images of training's own stream, to be looked at."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf.data.image_dataset import Example
from simclr_tf.data.sharding import InputFn


class FirstBatch:
    """Notes what the first batch of an input pipeline holds while it passes.

    To read the same again would fill another shuffle buffer, and compile the views another time.
    Python notes it: the pipeline must run in this process, which those of TPUs may not.

    Args:
      count: how many examples of it are kept.
      leave_out: the names of what is not.
    """

    def __init__(self, count: int, *, leave_out: tuple[str, ...] = ()) -> None:
        self._count = count
        self._leave_out = leave_out
        self._kept: dict[str, np.ndarray] = {}

    def take(self) -> dict[str, np.ndarray]:
        """Returns tensors `[count, ...]` by name and lets go of them; none before a batch."""
        kept, self._kept = self._kept, {}
        return kept

    def watching(self, input_fn: InputFn) -> InputFn:
        """Returns the same input function, of whose first pipeline the first batch is noted."""

        def watched(context: tf.distribute.InputContext) -> tf.data.Dataset:
            batches = input_fn(context)
            if context.input_pipeline_id:
                return batches
            return batches.enumerate().map(self._pass_on)

        return watched

    @tf.autograph.experimental.do_not_convert
    def _pass_on(self, index: tf.Tensor, batch: Example) -> Example:
        names = sorted(batch.keys() - set(self._leave_out))

        def keep(*values: np.ndarray) -> np.bool_:
            # Copies: what is given belongs to TensorFlow.
            self._kept = dict(zip(names, map(np.array, values), strict=True))
            return np.bool_(True)

        noted = tf.cond(
            tf.equal(index, 0),
            lambda: tf.numpy_function(
                keep, [batch[name][: self._count] for name in names], tf.bool
            ),
            lambda: False,
        )
        with tf.control_dependencies([noted]):
            return tf.nest.map_structure(tf.identity, batch)
