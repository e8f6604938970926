"""Contrastive pre-training: images without labels in, an encoder out."""

from __future__ import annotations

from simclr_tf.config import Config
from simclr_tf.runs import parts, precision, starting, training
from simclr_tf.runs.end_screen import announce_end
from simclr_tf.runs.initial_weights import open_initial_weights
from simclr_tf.runs.knn_curve import prepare_knn
from simclr_tf.runs.networks import build_simclr
from simclr_tf.runs.preparation import prepare
from simclr_tf.workflows.evaluate import evaluate_trained


def pretrain(config: Config) -> dict[str, float]:
    """Trains an encoder and projection head by SimCLR and exports them.

    Args:
      config: what was asked. With `checkpoint`, encoder and projection head start from there.

    Returns:
      The last metrics of training, and those of evaluation if asked for.

    Raises:
      UserError: bad input.
    """
    config, weights = open_initial_weights(config)
    run = parts.choose(precision.choose(prepare(config, weights)))
    knn = prepare_knn(run)
    with starting.taking_charge(run) as lock, starting.report_bad_images(run):
        with run.strategy.scope():
            model = build_simclr(run.config, run.plan.num_classes)
            starting.compile_network(model, run)
        start = starting.find_start(run, model, weights, lock)
        starting.announce(run, model, start, weights)
        trained = training.train(run, model, start, knn)
        metrics = trained.metrics
        training.export(run, model, start)
        if run.config.task.mode == "train_then_eval":
            metrics |= evaluate_trained(run, model, step=training.reached(run, start))
        announce_end(run, start, trained)
    return metrics
