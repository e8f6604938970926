"""What a network that knows nothing measures: what to compare figures with."""

from __future__ import annotations

import math

_NOT_COMPARED = {"nt_xent": 1, "dcl": 2, "supcon": 1}  # views: its own, and DCL's partner


def of_pretraining(batch: int, loss: str = "nt_xent") -> dict[str, float]:
    """Returns the contrastive loss where all views look alike, and contrastive accuracy by chance.

    Accuracy asks which of the batch's views 2 belongs to a view 1; the loss asks each view, in both
    directions, among all other views, views 1 too.

    Args:
      batch: images a step, over all replicas.
      loss: which one; see `SimCLR`.

    Returns:
      By the names that `train_step` gives them.
    """
    others = 2 * batch - _NOT_COMPARED[loss]
    return {"contrast_loss": 2 * math.log(max(1, others)), "contrast_acc": 1 / batch}


def of_distillation(number: int, temperature: float) -> dict[str, float]:
    """Returns loss and agreement with the teacher where each class is as likely as another.

    Args:
      number: of classes.
      temperature: see `losses.distillation_loss`.

    Returns:
      By the names that `train_step` gives them.
    """
    loss = temperature**2 * math.log(number)
    return {"distillation_loss": loss, "teacher_agreement": 1 / number}


def of_classes(number: int | None) -> dict[str, float]:
    """Returns cross-entropy and accuracy where each of `number` classes is as likely as another.

    Args:
      number: None for no classifier.

    Returns:
      By the names that `train_step` gives them.
    """
    if number is None:
        return {}
    return {"supervised_loss": math.log(number), "supervised_acc": 1 / number}
