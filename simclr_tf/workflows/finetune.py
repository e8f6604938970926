"""Fine-tuning and linear evaluation: a pre-trained encoder and labels in, a classifier out."""

from __future__ import annotations

from simclr_tf.config import Config
from simclr_tf.runs import precision, starting, training
from simclr_tf.runs.end_screen import announce_end
from simclr_tf.runs.initial_weights import open_initial_weights
from simclr_tf.runs.networks import build_classifier
from simclr_tf.runs.preparation import prepare
from simclr_tf.workflows.evaluate import evaluate_trained


def finetune(config: Config, *, alone: bool = True) -> dict[str, float]:
    """Trains a classifier, and what is not frozen of the network under it, and exports both.

    Args:
      config: what was asked. Without `checkpoint` the network is trained from scratch, the
        supervised baseline.
      alone: whether it is all that was asked, so that the network is handed on: exported, and the
        next commands are said. Else it is a part of an evaluation.

    Returns:
      The last metrics of training, and those of evaluation if asked for.

    Raises:
      UserError: bad input.
    """
    config, weights = open_initial_weights(config)
    config.architecture.check_projection_selector(config.finetuning.ft_proj_selector)
    run = precision.choose(prepare(config, weights))
    with starting.taking_charge(run) as lock, starting.report_bad_images(run):
        with run.strategy.scope():
            assert run.plan.num_classes is not None  # `prepare` asks for labels
            model = build_classifier(run.config, run.plan.num_classes)
            starting.compile_network(model, run)
        start = starting.find_start(run, model, weights, lock)
        starting.announce(run, model, start, weights)
        trained = training.train(run, model, start)
        metrics = trained.metrics
        if alone:
            training.export(run, model, start)
        if run.config.task.mode == "train_then_eval":
            metrics |= evaluate_trained(run, model, step=training.reached(run, start))
        if alone:
            announce_end(run, start, trained)
    return metrics
