"""A run's own checkpoints: weights, optimizer and step, from which it goes on as if never stopped.

The position in the data and the randomness of augmentation follow from the step and the seed, so
they need no state of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import numbered
from simclr_tf.checkpoints.reader import UNREADABLE, NotFinite, check_whole
from simclr_tf.errors import RunFailed, SettingError, UserError, first_line
from simclr_tf.paths import readable
from simclr_tf.training.diverged import Diverged
from simclr_tf.training.network import Network

DAMAGED = "damaged"


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a run goes on from.

    Attributes:
      step: of the checkpoint.
      notes: a line for each newer one that cannot be used.
    """

    step: int
    notes: tuple[str, ...] = ()


class TrainingState:
    """Saves and restores the state of a run in `model_dir`.

    Args:
      model: built and compiled.
      model_dir: where `ckpt-<step>` files go.
      keep: how many checkpoints to keep, 0 for all.
      scratch: a folder, on all machines of a run but the chief. Saving takes all of them, since
        each holds a share of what replicas average; but the chief's files are the run's.
      may_write: called before anything is saved; raises an error if the folder is another's by now.

    Attributes:
      saved: step of the newest checkpoint that is known to be good, None without one.
    """

    def __init__(
        self,
        model: Network,
        model_dir: str,
        keep: int,
        scratch: str | None = None,
        may_write: Callable[[], None] | None = None,
    ) -> None:
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            **model.parts, optimizer=model.optimizer, global_step=self._step
        )
        self._model_dir, self._keep, self._scratch = model_dir, keep, scratch
        self._may_write = may_write
        self.saved: int | None = None

    def save(self, step: int) -> None:
        """Writes `ckpt-<step>`, reads it back, and then drops the oldest.

        Raises:
          RunFailed: it cannot be written. Earlier ones are as they were.
          Diverged: the weights or the optimizer's are no numbers any more. The same.
        """
        if self._may_write is not None:
            self._may_write()
        self._step.assign(step)
        folder = self._scratch or self._model_dir
        aside = numbered.name_aside(step)
        try:
            try:
                tf.io.gfile.makedirs(folder)
                self._checkpoint.write(files.join(folder, aside))
                if self._scratch is None:
                    check_whole(files.join(folder, aside))
                    numbered.move(folder, aside, f"ckpt-{step}")
                    self.saved = step
                    self._drop_old()
                    self._tell_other_tools()
            finally:
                with contextlib.suppress(OSError, tf.errors.OpError):
                    if self._scratch is not None:
                        tf.io.gfile.rmtree(folder)
                    else:
                        numbered.remove_aside(folder, aside)
        except NotFinite as error:
            raise Diverged("weights", step) from error
        except (OSError, tf.errors.OpError, UserError) as error:
            raise RunFailed(
                f"`model_dir={self._model_dir}`: saving step {step:,} failed "
                f"({first_line(error)}); {self.standing()}; make room or mend the folder, and the "
                "same command goes on"
            ) from error

    def restore(self) -> Restored | None:
        """Restores the newest checkpoint that is whole and holds numbers.

        Newer ones that do not are moved into `model_dir/damaged/`.

        Returns:
          None if there is no file of a checkpoint in `model_dir`.

        Raises:
          UserError: none can be used; a run never begins anew where there are checkpoints. Or it is
            of another network or optimizer.
        """
        if self._scratch is None:
            numbered.settle(self._model_dir)
        if numbered.is_empty(self._model_dir):
            return None
        bad: dict[int, str] = {}
        for step in reversed(numbered.list_steps(self._model_dir)):
            prefix = numbered.prefix_of(self._model_dir, step)
            try:
                check_whole(prefix)  # TensorFlow could die of a damaged index while restoring
            except UserError as error:
                bad[step] = str(error)
                continue
            self._read(prefix)
            if self._scratch is None:
                self._set_aside(bad)
            self.saved = step
            return Restored(step, tuple(bad.values()))
        reason = next(iter(bad.values()), "they have no index file")
        raise SettingError(
            "model_dir",
            self._model_dir,
            f"holds files of checkpoints, but none can be used ({reason})",
            "nothing was changed; copy them again, or begin anew in another `model_dir`",
        )

    def _read(self, prefix: str) -> None:
        try:
            self._checkpoint.read(readable(prefix)).assert_existing_objects_matched()
        except (*UNREADABLE, AssertionError) as error:
            raise SettingError(
                "model_dir",
                self._model_dir,
                f"holds a checkpoint of another network or optimizer, {prefix} "
                f"({first_line(error)})",
                "give another `model_dir`",
            ) from None

    def _set_aside(self, bad: dict[int, str]) -> None:
        if bad:
            tf.io.gfile.makedirs(files.join(self._model_dir, DAMAGED))
        for step in bad:
            numbered.move(self._model_dir, f"ckpt-{step}", f"{DAMAGED}/ckpt-{step}")

    def _drop_old(self) -> None:
        steps = numbered.list_steps(self._model_dir)
        for step in steps[: -self._keep] if self._keep else ():
            numbered.remove(self._model_dir, step)

    def _tell_other_tools(self) -> None:
        """Writes what `tf.train.latest_checkpoint` reads; see `checkpoints/numbered.py`."""
        names = [f"ckpt-{step}" for step in numbered.list_steps(self._model_dir)]
        lines = [f'model_checkpoint_path: "{names[-1]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
        files.write_text(files.join(self._model_dir, "checkpoint"), "\n".join(lines) + "\n")

    def standing(self) -> str:
        """Says in words what the run can go on from."""
        if self.saved is None:
            return "there is no checkpoint yet"
        newest = numbered.prefix_of(self._model_dir, self.saved)
        return f"the last good checkpoint is {newest}"
