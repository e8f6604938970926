"""What a training run prints before it starts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from simclr_tf.checkpoints import StoredWeights
from simclr_tf.config import Config
from simclr_tf.runs.estimate import Cost
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training import guessing
from simclr_tf.training.network import Network


def describe(rows: Iterable[tuple[str, str]]) -> str:
    """Returns rows of a name and a text as a screen shows them."""
    return "\n".join(f"  {name:<11}{text}" for name, text in rows)


def rows_of(run: PreparedRun, model: Network, cost: Cost | None) -> list[tuple[str, str]]:
    """Returns what says, before training, what will happen.

    Args:
      run: from `prepare`.
      model: compiled.
      cost: what it takes, where that was measured.
    """
    config, plan = run.config, run.plan
    parameters = _count_parameters(model)
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
        alike = guessing.of_pretraining(batch, config.loss.loss)["contrast_loss"]
        rows.append(
            (
                "loss",
                f"{config.loss.title}, temperature {config.loss.temperature:g}, "
                f"{2 * batch - 2:,} negatives per anchor; {alike:.2f} if all views looked alike",
            )
        )
    if run.teacher is not None:
        rows += _teacher(run, run.teacher)
    own = batch // plan.replicas
    rows += [
        (
            "devices",
            f"{_name_devices(run)}, {plan.replicas} x {own} images a step",
        ),
        ("precision", run.chosen or config.hardware.precision),
        *(cost.rows() if cost else ()),
    ]
    return rows


def _teacher(run: PreparedRun, weights: StoredWeights) -> list[tuple[str, str]]:
    asked, network = run.config.distillation, weights.description
    share = asked.distill_weight
    labels = f", {1 - share:g} of cross-entropy with labels" if asked.reads_labels else ""
    return [
        (
            "teacher",
            f"{network.architecture}, {network.image_size} px, frozen, from {weights.prefix}",
        ),
        (
            "loss",
            f"{share:g} of distillation, temperature {asked.distill_temperature:g}{labels}",
        ),
    ]


def _in_parts(config: Config) -> str:
    asked = config.optimization
    return f" ({asked.pairs_at_a_time:,} encoded at a time)" if asked.in_parts else ""


def _task(config: Config, num_classes: int | None) -> str:
    if config.task.pretraining:
        probed = config.loss.lineareval_while_pretraining and num_classes is not None
        probe = ", with an online linear probe" if probed else ""
        return f"pre-train without labels{probe}"
    block = config.finetuning.fine_tune_after_block
    if config.task.distilling:
        trained = "distill a teacher into a student"
    elif block == 4:
        trained = "linear evaluation: the classifier alone is trained"
    elif block >= 0:
        trained = f"fine-tune what comes after block {block}"
    else:
        trained = "fine-tune everything"
    checkpoint = config.task.checkpoint
    origin = f"from {checkpoint}" if checkpoint else "from scratch (no --checkpoint)"
    return f"{trained}, {origin}"


def _count_parameters(model: Network) -> dict[str, int]:
    counts = {}
    for name, part in model.parts.items():
        trained = sum(math.prod(v.shape) for v in part.trainable_weights)
        label = name.replace("_", " ")
        total = sum(math.prod(w.shape) for w in part.weights)
        counts[label if trained else f"{label} (frozen)"] = trained or total
    return counts


def _name_devices(run: PreparedRun) -> str:
    if run.workers.count > 1:
        return f"MultiWorkerMirrored on {run.device_type}, {run.workers.count} workers"
    kind = type(run.strategy).__name__
    kind = kind.removesuffix("V1").removesuffix("V2").removesuffix("Strategy")
    return f"{kind} on {run.device_type}"
