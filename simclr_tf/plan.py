"""The numbers that follow from the configuration, data and devices; printed before a run."""

from __future__ import annotations

import dataclasses
import math

from simclr_tf.config import (
    Config,
    scaled_learning_rate,
    steps_of_epochs,
    total_steps,
)
from simclr_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Plan:
    """Derived numbers of a training run; all steps and batches are global."""

    train_examples: int
    num_classes: int | None
    replicas: int
    train_steps: int
    warmup_steps: int
    checkpoint_steps: int
    summary_steps: int
    steps_per_loop: int
    learning_rate: float
    """Peak learning rate, after scaling with the batch."""


def make_plan(
    config: Config, *, train_examples: int, num_classes: int | None, replicas: int
) -> Plan:
    """Computes the plan.

    Args:
      config: what was asked.
      train_examples: images in the training split.
      num_classes: classes of the data set, None if it has no labels.
      replicas: devices that share a global batch.

    Raises:
      UserError: the settings cannot work with this data or these devices.
    """
    batch = config.train_batch_size
    for name in ("train_batch_size", "eval_batch_size"):
        if getattr(config, name) % replicas:
            raise UserError(
                f"--{name}={getattr(config, name)} cannot be divided among {replicas} replicas; "
                f"give a multiple of {replicas}"
            )
    steps = total_steps(config.train_steps, config.train_epochs, train_examples, batch)
    warmup = steps_of_epochs(config.warmup_epochs, train_examples, batch)
    if warmup >= steps:
        raise UserError(
            f"--warmup_epochs={config.warmup_epochs:g} is {warmup} steps, as long as the run of "
            f"{steps} steps or longer; give fewer, or train longer"
        )
    epoch = max(1, round(train_examples / batch))
    checkpoint_steps = config.checkpoint_steps or config.checkpoint_epochs * epoch
    summary_steps = config.train_summary_steps or checkpoint_steps
    return Plan(
        train_examples=train_examples,
        num_classes=num_classes,
        replicas=replicas,
        train_steps=steps,
        warmup_steps=warmup,
        checkpoint_steps=checkpoint_steps,
        summary_steps=summary_steps,
        steps_per_loop=config.steps_per_loop or (summary_steps if config.on_tpu else 1),
        learning_rate=scaled_learning_rate(
            config.learning_rate, config.learning_rate_scaling, batch
        ),
    )


def describe(
    config: Config, plan: Plan, *, model_dir: str, parameters: dict[str, int], strategy: str
) -> str:
    """Returns the screen that says, before training, what will happen.

    Args:
      config: what was asked.
      plan: its derived numbers.
      model_dir: where results go.
      parameters: trainable and frozen parameters by part of the network.
      strategy: the tf.distribute strategy and device type in words.
    """
    batch, steps = config.train_batch_size, plan.train_steps
    epochs = steps * batch / plan.train_examples
    rows = [
        ("task", _task(config, plan.num_classes)),
        ("data", f"{config.dataset}, {config.train_split}: {plan.train_examples:,} images"),
        ("images", f"{config.image_size} x {config.image_size} px"),
        (
            "encoder",
            f"ResNet-{config.resnet_depth}, width {config.width_multiplier:g}"
            + (f", SK {config.sk_ratio:g}" if config.sk_ratio else "")
            + (f", SE {config.se_ratio:g}" if config.se_ratio else "")
            + (", laid out as PyTorch's" if config.torch_normalization else ""),
        ),
        ("parameters", ", ".join(f"{part} {count:,}" for part, count in parameters.items())),
        (
            "length",
            f"{steps:,} steps of {batch:,} images = {epochs:.1f} epochs; "
            f"warm-up {plan.warmup_steps:,} steps",
        ),
        (
            "optimizer",
            f"{config.optimizer}, learning rate {config.learning_rate:g} scaled "
            f"({config.learning_rate_scaling}) to {plan.learning_rate:.4g}, "
            f"weight decay {config.weight_decay:g}",
        ),
    ]
    if config.pretraining:
        floor = 2 * math.log(2 * batch - 1)
        rows.append(
            (
                "loss",
                f"NT-Xent, temperature {config.temperature:g}, {2 * batch - 2:,} negatives per "
                f"anchor; {floor:.2f} if all views looked alike",
            )
        )
    rows += [
        ("devices", f"{strategy}, {plan.replicas} x {batch // plan.replicas} images a step"),
        ("precision", config.precision),
        ("results", model_dir),
    ]
    return "\n".join(f"  {name:<11}{text}" for name, text in rows)


def _task(config: Config, num_classes: int | None) -> str:
    if config.pretraining:
        probed = config.lineareval_while_pretraining and num_classes is not None
        probe = ", with an online linear probe" if probed else ""
        return f"pre-train without labels{probe}"
    if config.fine_tune_after_block == 4:
        trained = "linear evaluation: the classifier alone is trained"
    elif config.fine_tune_after_block >= 0:
        trained = f"fine-tune what comes after block {config.fine_tune_after_block}"
    else:
        trained = "fine-tune everything"
    source = f"from {config.checkpoint}" if config.checkpoint else "from scratch (no --checkpoint)"
    return f"{trained}, {source}"
