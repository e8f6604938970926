"""What a run's figures say of it, in words, and no more than they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Lines = Sequence[Mapping[str, Any]]

# A loss within so much of what it is where nothing is known does not differ from it. Means over a
# tenth of a run vary by a hundredth; a network that learns anything is soon beyond.
_SAME = 0.02
# Contrastive accuracy of untrained networks is up to three times chance: a view looks like its
# partner also to random weights.
_TIMES_CHANCE = 3.0
_STANDARD_ERRORS = 3.0


def of_pretraining(
    lines: Lines,
    guessing: Mapping[str, float],
    *,
    total: int,
    batch: int,
    temperature: float | None,
) -> str:
    """Returns a sentence on a contrastive run.

    Args:
      lines: of `metrics.jsonl`, one at least.
      guessing: see `guessing.of_pretraining`.
      total: steps of the run.
      batch: images a step.
      temperature: of NT-Xent; None where projections are not normalized.
    """
    alike, chance = guessing["contrast_loss"], guessing["contrast_acc"]
    first = lines[0]["train/contrast_loss"]
    loss = _mean(lines, "train/contrast_loss", total)
    accuracy = _mean(lines, "train/contrast_acc", total)
    figures = (
        f"NT-Xent {loss:.2f} ({first:.2f} at step {lines[0]['step']:,}, {alike:.2f} if all views "
        f"looked alike), contrastive accuracy {accuracy:.1%} (chance {100 * chance:.2g}%)"
    )
    if abs(loss - alike) <= _SAME * alike:
        found = "not learned: the loss is that of views which all look alike"
    elif loss > alike:
        found = "not learned yet: the loss is above that of views which all look alike"
    elif accuracy < _TIMES_CHANCE * chance:
        found = "hardly learned: contrastive accuracy is hardly above chance"
    elif loss > (1 - _SAME) * first and lines[0]["step"] <= total / 2:
        found = "hardly changed: the loss has hardly fallen since it began"
    else:
        found = "learned: the loss has fallen below that of views which all look alike"
    text = f"{found}. {figures}"
    rise = _rise(lines, "train/contrast_acc", total, batch)
    if rise:
        text += f", still rising: {rise}"
    if temperature is not None:
        # Partners on one spot, all others opposite: no network does better.
        floor = 2 * math.log1p((2 * batch - 2) * math.exp(-2 / temperature))
        if floor > 0.9 * alike:
            text += f". With temperature {temperature:g} the loss cannot fall below {floor:.2f}"
    return text


def of_classifier(lines: Lines, guessing: Mapping[str, float], *, total: int, batch: int) -> str:
    """Returns a sentence on a supervised run; see `of_pretraining`."""
    if "train/supervised_loss" not in lines[-1]:
        return "the last steps saw no image with a label"
    loss = _mean(lines, "train/supervised_loss", total)
    accuracy = _mean(lines, "train/supervised_acc", total)
    figures = (
        f"Cross-entropy {loss:.3f} ({guessing['supervised_loss']:.2f} if each class were as "
        f"likely), supervised accuracy {accuracy:.1%} (one class in "
        f"{round(1 / guessing['supervised_acc'])}) on augmented training images"
    )
    if loss > (1 - _SAME) * guessing["supervised_loss"]:
        found = "not learned: no better than guessing"
    else:
        found = "learned its training images better than guessing"
    text = f"{found}. {figures}"
    rise = _rise(lines, "train/supervised_acc", total, batch)
    if rise:
        text += f", still rising: {rise}"
    return text


def _mean(lines: Lines, name: str, total: int, until: float = 1.0) -> float:
    """Returns the mean over the tenth of the run that ends at `until`, NaN if nothing is known."""
    before = (0, *(line["step"] for line in lines))
    weighted = [
        (line["step"] - last, line[name])
        for last, line in zip(before, lines)
        if name in line and (until - 0.1) * total < line["step"] <= until * total
    ]
    steps = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / steps if steps else math.nan


def _rise(lines: Lines, name: str, total: int, batch: int) -> str:
    """Says from where to where an accuracy has risen at the end; "" if that may be chance."""
    before, now = (_mean(lines, name, total, until) for until in (0.9, 1.0))
    error = math.sqrt(2 * max(now * (1 - now), 0) / (0.1 * total * batch))
    if now - before > max(_STANDARD_ERRORS * error, _SAME * now):
        return f"{before:.1%} in the last tenth of the steps but one, {now:.1%} in the last"
    return ""
