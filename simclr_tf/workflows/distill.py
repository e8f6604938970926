"""Distillation: a teacher and images without labels in, a classifier out that predicts the same."""

from __future__ import annotations

from simclr_tf.config import Config
from simclr_tf.runs import precision, starting, training
from simclr_tf.runs.end_screen import announce_end
from simclr_tf.runs.initial_weights import open_initial_weights
from simclr_tf.runs.networks import build_distiller, build_teacher
from simclr_tf.runs.preparation import prepare
from simclr_tf.runs.teacher import Frozen, open_teacher
from simclr_tf.workflows.evaluate import evaluate_trained


def distill(config: Config) -> dict[str, float]:
    """Trains a student on what its teacher predicts, and exports it.

    Args:
      config: what was asked. With `checkpoint`, encoder and projection head start from there.

    Returns:
      The last metrics of training, and those of evaluation if asked for.

    Raises:
      UserError: bad input.
      RunFailed: the run cannot go on, or the teacher did not stay what it was.
    """
    config, weights = open_initial_weights(config)
    config, teacher_weights = open_teacher(config)
    assert teacher_weights is not None  # validation asks for a teacher
    config.architecture.check_projection_selector(config.finetuning.ft_proj_selector)
    run = precision.choose(prepare(config, weights, teacher_weights))
    with starting.taking_charge(run) as lock, starting.report_bad_images(run):
        with run.strategy.scope():
            assert run.plan.num_classes is not None  # the teacher's
            teacher = build_teacher(teacher_weights)
            model = build_distiller(run.config, run.plan.num_classes, teacher)
            starting.compile_network(model, run)
        start = starting.find_start(run, model, weights, lock)
        starting.announce(run, model, start, weights)
        frozen = Frozen.of(teacher, teacher_weights)
        frozen.prove(run, start.step)
        trained = training.train(run, model, start)
        frozen.prove(run, training.reached(run, start))
        training.export(run, model, start)
        metrics = trained.metrics
        if run.config.task.mode == "train_then_eval":
            metrics |= evaluate_trained(run, model, step=training.reached(run, start))
        announce_end(run, start, trained)
    return metrics
