"""What a network that knows nothing measures: what to compare figures with."""

from __future__ import annotations

import math


def of_pretraining(batch: int) -> dict[str, float]:
    """Returns NT-Xent where all views look alike, and contrastive accuracy by chance.

    Accuracy asks which of the batch's views 2 belongs to a view 1; the loss asks each view, in both
    directions, among all other views, views 1 too.

    Args:
      batch: images a step, over all replicas.

    Returns:
      By the names that `train_step` gives them.
    """
    return {"contrast_loss": 2 * math.log(2 * batch - 1), "contrast_acc": 1 / batch}


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
