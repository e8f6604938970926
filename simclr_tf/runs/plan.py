"""The numbers that follow from the configuration, data and devices."""

from __future__ import annotations

import dataclasses
import math

from simclr_tf.config import Config
from simclr_tf.errors import SettingError

# TensorFlow keeps two kilobytes of each collective of each call for good; a loop is one call. And
# SIGTERM is heard after a loop: clouds give half a minute. Their loops do not adapt: each measures
# another time, and all must take the same steps.
STEPS_PER_LOOP_OF_WORKERS = 10


@dataclasses.dataclass(frozen=True)
class Plan:
    """Derived numbers of a training run; all steps and batches are global."""

    train_examples: int
    num_classes: int | None
    replicas: int
    workers: int
    train_steps: int
    warmup_steps: int
    checkpoint_steps: int
    summary_steps: int
    steps_per_loop: int
    """0 where they adapt to the time that steps take, see `Loops`."""
    learning_rate: float
    """Peak learning rate, after scaling with the batch."""


def make_plan(
    config: Config,
    *,
    train_examples: int,
    num_classes: int | None,
    replicas: int,
    workers: int = 1,
    continued: bool = False,
) -> Plan:
    """Computes the plan.

    Args:
      config: what was asked.
      train_examples: images in the training split.
      num_classes: of the supervised head, None without one.
      replicas: devices that share a global batch.
      workers: machines that they belong to.
      continued: whether the run has begun already, with the same settings.

    Raises:
      SettingError: the settings cannot work with this data or these devices.
    """
    length, files = config.optimization, config.files
    batch = length.train_batch_size
    check_divisible("train_batch_size", batch, replicas)
    if length.in_parts:
        _check_parts(length.pairs_at_a_time, batch, replicas)
    if config.task.mode == "train_then_eval":
        check_divisible("eval_batch_size", config.evaluation.eval_batch_size, replicas)
    steps = total_steps(length.train_steps, length.train_epochs, train_examples, batch)
    warmup = steps_of_epochs(length.warmup_epochs, train_examples, batch)
    if warmup >= steps:
        raise SettingError(
            "warmup_epochs",
            f"{length.warmup_epochs:g}",
            f"is {warmup:,} steps, as long as the run of {steps:,} steps or longer",
            "there are more images than when it began: leave the new ones out, or give another "
            "`model_dir`"
            if continued
            else "give fewer, or train longer",
        )
    if files.profile_steps is not None and int(files.profile_steps.split(":")[1]) > steps:
        raise SettingError(
            "profile_steps",
            files.profile_steps,
            f"ends behind the last step of the run, {steps:,}",
            "give steps before it",
        )
    epoch = max(1, round(train_examples / batch))
    checkpoint_steps = files.checkpoint_steps or files.checkpoint_epochs * epoch
    summary_steps = files.train_summary_steps or checkpoint_steps
    if "train_summary_steps" not in config.given:  # a curve has fifty points, however short
        summary_steps = min(summary_steps, max(1, steps // 50))
    steps_per_loop = 0
    if config.hardware.on_tpu:
        steps_per_loop = summary_steps
    elif config.hardware.num_virtual_devices > 1:
        steps_per_loop = 1  # traced sooner, and nobody trains on them for long
    elif workers > 1:
        steps_per_loop = min(STEPS_PER_LOOP_OF_WORKERS, checkpoint_steps, summary_steps)
    asked = config.hardware.steps_per_loop
    return Plan(
        train_examples=train_examples,
        num_classes=num_classes,
        replicas=replicas,
        workers=workers,
        train_steps=steps,
        warmup_steps=warmup,
        checkpoint_steps=checkpoint_steps,
        summary_steps=summary_steps,
        steps_per_loop=asked if isinstance(asked, int) and asked else steps_per_loop,
        learning_rate=scaled_learning_rate(
            length.learning_rate, length.learning_rate_scaling, batch
        ),
    )


def check_divisible(field: str, batch: int, replicas: int) -> None:
    """Raises SettingError where replicas would get unequal parts of a batch."""
    if batch % replicas:
        raise SettingError(
            field,
            batch,
            f"cannot be divided among {replicas} replicas",
            f"give a multiple of {replicas}",
        )


def largest_part(batch: int, most: int, replicas: int) -> int:
    """Returns the most pairs, up to `most`, in which a batch can be encoded; 0 for none."""
    sizes = range(most - most % replicas, 0, -replicas)
    return next((size for size in sizes if batch % size == 0), 0)


def _check_parts(micro_batch_size: int, batch: int, replicas: int) -> None:
    """Raises SettingError where parts would not be alike, on each number of replicas."""
    if batch % micro_batch_size:
        fitting = largest_part(batch, micro_batch_size, replicas)
        remedy = f"give {fitting:,}" if fitting else "give another `train_batch_size`"
        reason = f"does not divide the batch of {batch:,}"
        raise SettingError("micro_batch_size", micro_batch_size, reason, remedy)
    check_divisible("micro_batch_size", micro_batch_size, replicas)


def scaled_learning_rate(base: float, scaling: str, batch_size: int) -> float:
    """Peak learning rate (SimCLR appendix B.1): linear in batch / 256, or sqrt(batch)."""
    return base * batch_size / 256 if scaling == "linear" else base * math.sqrt(batch_size)


def total_steps(train_steps: int, train_epochs: int, examples: int, batch_size: int) -> int:
    """Steps to train: `train_steps` if given, else the reference's rounding of the epochs."""
    return train_steps or examples * train_epochs // batch_size + 1


def steps_of_epochs(epochs: float, examples: int, batch_size: int) -> int:
    """Steps of `epochs` epochs, rounded down as the reference's warm-up."""
    return int(epochs * examples // batch_size)
