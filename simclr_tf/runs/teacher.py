"""Whose predictions a run learns: found, compared with what was noted, and proved frozen."""

from __future__ import annotations

import dataclasses

from simclr_tf import files
from simclr_tf.checkpoints import StoredWeights, find_weights, stored_fingerprint
from simclr_tf.config import Config
from simclr_tf.errors import RunFailed, SettingError
from simclr_tf.runs import moved
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training.teacher import Teacher


def open_teacher(config: Config) -> tuple[Config, StoredWeights | None]:
    """Finds `teacher`, and returns the configuration with its image size where none is given.

    Args:
      config: what was asked, with what its `checkpoint` has decided.

    Returns:
      What was asked, and None, where nothing is distilled.

    Raises:
      UserError: it cannot be read, has no classifier, or is another than the run in `model_dir`
        has learned from until now.
    """
    path = config.distillation.teacher
    if not config.task.distilling or path is None:
        return config, None
    weights = find_weights(path, trust_checkpoint=config.task.trust_checkpoint, setting="teacher")
    if weights.description.num_classes is None:
        raise SettingError(
            "teacher",
            path,
            "has no classifier, so it predicts nothing",
            "fine-tune it first, with `train_mode=finetune`",
        )
    before = moved.read(config.task.model_dir, moved.TEACHER).get("fingerprint")
    if before is not None and before != stored_fingerprint(weights):
        raise SettingError(
            "teacher",
            path,
            f"holds other weights than those that the run in `model_dir={config.task.model_dir}` "
            "learns from",
            "give those, or another `model_dir`",
        )
    if "image_size" not in config.given and not config.task.checkpoint:
        config = config.replace(image_size=weights.description.image_size)
    return config, weights


@dataclasses.dataclass(frozen=True)
class Frozen:
    """That a teacher is what its file holds.

    Attributes:
      teacher: in every copy that devices of this machine hold.
      weights: its file.
      fingerprint: of that, see `stored_fingerprint`.
    """

    teacher: Teacher
    weights: StoredWeights
    fingerprint: str

    @classmethod
    def of(cls, teacher: Teacher, weights: StoredWeights) -> Frozen:
        """Returns it, of a teacher and the file that it was read from."""
        return cls(teacher, weights, stored_fingerprint(weights))

    def prove(self, run: PreparedRun, step: int) -> None:
        """Compares the teacher's variables with its file; the chief notes it in teacher.json.

        Args:
          run: that learns from it.
          step: that it has reached.

        Raises:
          RunFailed: they are not: something has trained the teacher.
        """
        found = self.teacher.fingerprints(run.strategy)
        folder = run.config.task.model_dir
        if found != {self.fingerprint}:
            raise RunFailed(
                f"`model_dir={folder}`: at step {step:,} the teacher's weights are no longer those "
                f"of {self.weights.prefix}; nothing may change them, so this run is of no use: "
                "please report it"
            )
        if run.workers.is_chief:
            content = {
                "teacher": self.weights.prefix,
                "fingerprint": self.fingerprint,
                "unchanged_at_step": step,
            }
            files.write_json(files.join(folder, moved.TEACHER), content)
