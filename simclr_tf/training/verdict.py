"""What a run's figures say of it, in words, and no more than they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Lines = Sequence[Mapping[str, Any]]

# A loss within so much of another does not differ from it: means over a tenth of a run vary by a
# hundredth, and a network that learns is soon beyond.
_SAME = 0.02
# So much do untrained networks reach on digits, where chance is 1 in 128: a view looks like its
# partner also to random weights.
_TIMES_CHANCE = 3.0
# Accuracies that differ by less are taken for the same.
_STANDARD_ERRORS = 3.0
_UNKNOWN = "unknown", "its first or last steps measured nothing"


def of_pretraining(
    lines: Lines,
    guessing: Mapping[str, float],
    *,
    total: int,
    batch: int,
    temperature: float | None,
    loss_name: str = "NT-Xent",
) -> tuple[str, str]:
    """Returns what became of a contrastive run, and the figures that say so.

    Args:
      lines: of `metrics.jsonl`, one at least.
      guessing: see `guessing.of_pretraining`.
      total: steps of the run.
      batch: images a step.
      temperature: of NT-Xent; None where projections are not normalized, or the loss is another.
      loss_name: what the loss is called.
    """
    alike, chance = guessing["contrast_loss"], guessing["contrast_acc"]
    first, last = lines[0], _tenth(lines, total)
    if not {"train/contrast_loss", "train/contrast_acc"} <= first.keys() & last.keys():
        return _UNKNOWN
    loss, accuracy = last["train/contrast_loss"], last["train/contrast_acc"]
    low, above_chance = loss < (1 - _SAME) * alike, accuracy > _TIMES_CHANCE * chance
    # What an earlier version has begun was not measured from its beginning.
    changed = (
        first["step"] > total / 2
        or loss < (1 - _SAME) * first["train/contrast_loss"]
        or _rose("train/contrast_acc", first, last, (first["step"] * batch, total * batch / 10))
    )
    if not changed:
        found = "not learned: the loss has hardly fallen, and contrastive accuracy has not risen"
    elif low and above_chance:
        found = (
            "learned: the loss is below that of views which all look alike, and contrastive "
            "accuracy above chance"
        )
    elif low:
        found = "hardly learned: contrastive accuracy is hardly above chance"
    elif above_chance:
        found = (
            "begun to learn: contrastive accuracy is above chance, but the loss is not yet below "
            "that of views which all look alike"
        )
    else:
        found = (
            "not learned: the loss is not below that of views which all look alike, and "
            "contrastive accuracy is hardly above chance"
        )
    figures = (
        f"{loss_name} {loss:.2f} (at step {first['step']:,} {first['train/contrast_loss']:.2f}, "
        f"all views alike {alike:.2f}), contrastive accuracy {accuracy:.1%} "
        f"(chance {100 * chance:.2g}%)" + _still_rising("train/contrast_acc", lines, total, batch)
    )
    if temperature is not None:
        # Partners on one spot, all others opposite: no network does better.
        floor = 2 * math.log1p((2 * batch - 2) * math.exp(-2 / temperature))
        if floor > 0.9 * alike:
            figures += f"; with temperature {temperature:g} no loss is below {floor:.2f}"
    return found, figures


def of_classifier(
    lines: Lines, guessing: Mapping[str, float], *, total: int, batch: int
) -> tuple[str, str]:
    """Returns what became of a supervised run, and the figures; see `of_pretraining`."""
    last, classes = _tenth(lines, total), round(1 / guessing["supervised_acc"])
    if "train/supervised_loss" not in last:
        return _UNKNOWN
    loss, alike = last["train/supervised_loss"], guessing["supervised_loss"]
    if loss < (1 - _SAME) * alike:
        found = "learned: on its training images the loss is below that of guessing"
    else:
        found = "not learned: on its training images the loss is no better than guessing"
    return found, (
        f"cross-entropy {loss:.3f} (guessing one of {classes:,} classes {alike:.2f}), "
        f"supervised accuracy {last['train/supervised_acc']:.1%} (guessing {1 / classes:.1%})"
        + _still_rising("train/supervised_acc", lines, total, batch)
    )


def of_student(
    lines: Lines, guessing: Mapping[str, float], *, total: int, batch: int
) -> tuple[str, str]:
    """Returns what became of a distilled run, and the figures; see `of_pretraining`.

    The loss does not say it: its least value is the teacher's entropy, which nobody measures.
    """
    last, chance = _tenth(lines, total), guessing["teacher_agreement"]
    if "train/teacher_agreement" not in last:
        return _UNKNOWN
    agreement = last["train/teacher_agreement"]
    error = math.sqrt(chance * (1 - chance) / (total * batch / 10))
    if agreement > chance + max(_STANDARD_ERRORS * error, _SAME):
        found = "learned: on its training images the student agrees with the teacher above chance"
    else:
        found = "not learned: on its training images the student agrees with the teacher by chance"
    figures = (
        f"agreement {agreement:.1%} (guessing one of {round(1 / chance):,} classes {chance:.1%}), "
        f"distillation loss {last['train/distillation_loss']:.3f} (guessing "
        f"{guessing['distillation_loss']:.2f})"
    )
    if "train/supervised_acc" in last:
        figures += f", supervised accuracy {last['train/supervised_acc']:.1%}"
    return found, figures + _still_rising("train/teacher_agreement", lines, total, batch)


def _tenth(lines: Lines, total: int, number: int = 10) -> Mapping[str, float]:
    """Returns means over a tenth of the run, by name; what was not measured is left out."""
    before = (0, *(line["step"] for line in lines))
    weighted = [
        (line["step"] - last, line)
        for last, line in zip(before, lines)
        if number - 1 < 10 * line["step"] / total <= number
    ]
    means = {}
    for name in {name for _, line in weighted for name in line}:
        known = [(weight, line[name]) for weight, line in weighted if name in line]
        means[name] = sum(w * value for w, value in known) / sum(w for w, _ in known)
    return means


def _rose(
    name: str,
    before: Mapping[str, float],
    now: Mapping[str, float],
    counts: tuple[float, float],
) -> bool:
    """Says whether an accuracy has risen by more than chance.

    Args:
      name: of the accuracy.
      before: means by name, earlier.
      now: means by name.
      counts: of images that they are means over.
    """
    if name not in before or name not in now:
        return False
    pair = before[name], now[name]
    error = math.sqrt(sum(p * (1 - p) / count for p, count in zip(pair, counts)))
    return pair[1] - pair[0] > max(_STANDARD_ERRORS * error, _SAME * pair[1])


def _still_rising(name: str, lines: Lines, total: int, batch: int) -> str:
    """Says so where an accuracy is higher in the last tenth of a run than in the one before."""
    before, now = _tenth(lines, total, 9), _tenth(lines, total)
    if not _rose(name, before, now, (total * batch / 10, total * batch / 10)):
        return ""
    return f", still rising: {before[name]:.1%} in the tenth of the run before the last"
