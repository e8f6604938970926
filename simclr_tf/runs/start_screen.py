"""What a training run prints before it starts."""

from __future__ import annotations

import math

from simclr_tf.config import Config
from simclr_tf.runs.cost import Cost
from simclr_tf.runs.plan import Plan


def describe(
    config: Config, plan: Plan, *, parameters: dict[str, int], devices: str, cost: Cost | None
) -> str:
    """Returns the screen that says, before training, what will happen.

    Args:
      config: what was asked.
      plan: its derived numbers.
      parameters: trainable and frozen parameters by part of the network.
      devices: the tf.distribute strategy and device type in words.
      cost: what it takes, where that was measured.
    """
    length, data = config.optimization, config.data
    batch, steps = length.train_batch_size, plan.train_steps
    epochs = steps * batch / plan.train_examples
    rows = [
        ("task", _task(config, plan.num_classes)),
        ("data", f"{data.dataset}, {data.train_split}: {plan.train_examples:,} images"),
        ("images", f"{data.image_size} x {data.image_size} px"),
        ("encoder", str(config.architecture)),
        ("parameters", ", ".join(f"{part} {count:,}" for part, count in parameters.items())),
        (
            "length",
            f"{steps:,} steps of {batch:,} images{_in_parts(config)} = {epochs:.1f} epochs; "
            f"warm-up {plan.warmup_steps:,} steps",
        ),
        (
            "optimizer",
            f"{length.optimizer}, learning rate {length.learning_rate:g} scaled "
            f"({length.learning_rate_scaling}) to {plan.learning_rate:.4g}, "
            f"weight decay {length.weight_decay:g}",
        ),
    ]
    if config.task.pretraining:
        alike = 2 * math.log(2 * batch - 1)
        rows.append(
            (
                "loss",
                f"NT-Xent, temperature {config.loss.temperature:g}, {2 * batch - 2:,} negatives "
                f"per anchor; {alike:.2f} if all views looked alike",
            )
        )
    rows += [
        ("devices", f"{devices}, {plan.replicas} x {batch // plan.replicas} images a step"),
        ("precision", config.hardware.precision),
        *(cost.rows() if cost else ()),
        ("results", config.task.model_dir),
    ]
    return "\n".join(f"  {name:<11}{text}" for name, text in rows)


def _in_parts(config: Config) -> str:
    batch, micro = config.optimization.train_batch_size, config.optimization.micro_batch_size
    return f" ({micro:,} encoded at a time)" if isinstance(micro, int) and 0 < micro < batch else ""


def _task(config: Config, num_classes: int | None) -> str:
    if config.task.pretraining:
        probed = config.loss.lineareval_while_pretraining and num_classes is not None
        probe = ", with an online linear probe" if probed else ""
        return f"pre-train without labels{probe}"
    block = config.finetuning.fine_tune_after_block
    if block == 4:
        trained = "linear evaluation: the classifier alone is trained"
    elif block >= 0:
        trained = f"fine-tune what comes after block {block}"
    else:
        trained = "fine-tune everything"
    checkpoint = config.task.checkpoint
    origin = f"from {checkpoint}" if checkpoint else "from scratch (no --checkpoint)"
    return f"{trained}, {origin}"
