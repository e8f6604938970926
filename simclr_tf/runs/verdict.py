"""What became of a run, and of its network's health, by the lines of metrics.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simclr_tf.config import Config
from simclr_tf.runs.health import judge_of
from simclr_tf.training import guessing, verdict
from simclr_tf.training.health import looks_of


def verdict_of(
    config: Config, lines: Sequence[Mapping[str, Any]], *, total: int, num_classes: int | None
) -> Iterator[tuple[str, str]]:
    """Yields rows of a name and what is said: the verdict, its figures, and health.

    Nothing of a run that has not ended, and no health where nobody looked.

    Args:
      config: the run's.
      lines: of `metrics.jsonl`.
      total: steps of the run.
      num_classes: that its supervised head tells apart, None without one.
    """
    # Others, such as those of kNN, are no means over steps.
    lines = [line for line in lines if any(name.startswith("train/") for name in line)]
    if not lines or lines[-1]["step"] < total:  # of an earlier version
        return
    batch, guessed = config.optimization.train_batch_size, guesses(config, num_classes)
    if config.task.pretraining:
        bounded = config.loss.hidden_norm and config.loss.loss == "nt_xent"
        found, figures = verdict.of_pretraining(
            lines,
            guessed,
            total=total,
            batch=batch,
            temperature=config.loss.temperature if bounded else None,
            loss_name=config.loss.title,
        )
    elif config.task.distilling:
        found, figures = verdict.of_student(lines, guessed, total=total, batch=batch)
    else:
        found, figures = verdict.of_classifier(lines, guessed, total=total, batch=batch)
    yield from (("verdict", found), ("", f"over the last tenth: {figures}"))
    looks = looks_of(lines, total)
    if looks:
        yield "health", str(judge_of(config)(looks))


def guesses(config: Config, num_classes: int | None) -> dict[str, float]:
    """Returns what a network that knows nothing would measure, by the names of its metrics."""
    classes = guessing.of_classes(num_classes)
    if config.task.pretraining:
        batch = config.optimization.train_batch_size
        return {**guessing.of_pretraining(batch, config.loss.loss), **classes}
    asked = config.distillation
    if config.task.distilling and num_classes is not None:
        taught = guessing.of_distillation(num_classes, asked.distill_temperature)
        return {**taught, **(classes if asked.reads_labels else {})}
    return classes
