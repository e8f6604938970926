"""A run's own checkpoints: weights, optimizer and step, from which it goes on as if never stopped.

The position in the data and the randomness of augmentation follow from the step and the seed, so
they need no state of their own.
"""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.checkpoints.reader import UNREADABLE, open_reader
from simclr_tf.errors import UserError, first_line
from simclr_tf.training.network import Network


class TrainingState:
    """Saves and restores the state of a run in `model_dir`.

    Args:
      model: built and compiled.
      model_dir: where `ckpt-<step>` files go.
      keep: how many checkpoints to keep, 0 for all.
      scratch: a folder, on all machines of a run but the chief. Saving takes all of them, since
        each holds a share of what replicas average; but the chief's files are the run's.
    """

    def __init__(self, model: Network, model_dir: str, keep: int, scratch: str | None = None):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            **model.parts, optimizer=model.optimizer, global_step=self._step
        )
        self._model_dir, self._scratch = model_dir, scratch
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, scratch or model_dir, max_to_keep=keep or None
        )

    def save(self, step: int) -> None:
        """Writes `ckpt-<step>` and drops the oldest."""
        self._step.assign(step)
        self._manager.save(checkpoint_number=step)
        if self._scratch is not None:
            tf.io.gfile.rmtree(self._scratch)

    def restore(self, path: str | None = None) -> int | None:
        """Restores one checkpoint, the latest by default, and returns its step.

        Returns:
          None if `model_dir` holds no checkpoint.

        Raises:
          UserError: the checkpoint cannot be read or is not of this network and optimizer.
        """
        path = path or tf.train.latest_checkpoint(self._model_dir)
        if path is None:
            return None
        open_reader(path)  # TensorFlow could die of a damaged index while restoring
        try:
            self._checkpoint.restore(path).assert_existing_objects_matched()
        except (*UNREADABLE, AssertionError) as error:
            raise UserError(
                f"checkpoint {path} cannot be restored ({first_line(error)}); remove it to go on "
                "from an earlier one, or give another `model_dir`"
            ) from None
        return int(self._step)
