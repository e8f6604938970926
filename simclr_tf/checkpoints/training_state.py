"""A run's own checkpoints: weights, optimizer and step, from which it goes on as if never stopped.

The position in the data and the randomness of augmentation follow from the step and the seed, so
they need no state of their own.
"""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.checkpoints.restore import UNREADABLE
from simclr_tf.errors import UserError
from simclr_tf.models.network import Network


class TrainingState:
    """Saves and restores the state of a run in `model_dir`.

    Args:
      model: built and compiled.
      model_dir: where `ckpt-<step>` files go.
      keep: how many checkpoints to keep, 0 for all.
    """

    def __init__(self, model: Network, model_dir: str, keep: int):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            **model.parts, optimizer=model.optimizer, global_step=self._step
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, model_dir, max_to_keep=keep or None
        )

    def save(self, step: int) -> None:
        """Writes `ckpt-<step>` and drops the oldest."""
        self._step.assign(step)
        self._manager.save(checkpoint_number=step)

    def restore(self, path: str | None = None) -> int | None:
        """Restores one checkpoint, the latest by default, and returns its step.

        Returns:
          None if `model_dir` holds no checkpoint.

        Raises:
          UserError: the checkpoint cannot be read or is not of this network and optimizer.
        """
        path = path or self._manager.latest_checkpoint
        if path is None:
            return None
        try:
            self._checkpoint.restore(path).assert_existing_objects_matched()
        except (*UNREADABLE, AssertionError) as error:
            reason = (str(error).strip().splitlines() or ["unknown"])[0]
            raise UserError(
                f"checkpoint {path} cannot be restored ({reason}); remove it to go on from an "
                "earlier one, or give another --model_dir"
            ) from None
        return int(self._step)
