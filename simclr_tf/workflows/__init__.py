"""One file per thing a user can ask for; `run` picks it."""

from __future__ import annotations

import logging
import sys

import absl.logging
from tqdm.contrib.logging import logging_redirect_tqdm

from simclr_tf.config import Config
from simclr_tf.workflows.evaluate import evaluate_checkpoint, follow_run
from simclr_tf.workflows.export import export
from simclr_tf.workflows.finetune import finetune
from simclr_tf.workflows.pretrain import pretrain
from simclr_tf.workflows.probe import probe
from simclr_tf.workflows.show_views import show_views


def run(config: Config) -> None:
    """Does what `mode` and `train_mode` ask for.

    Raises:
      UserError: bad input.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _show_own_messages()
    # What is said while a progress bar is drawn gets a line of its own.
    with logging_redirect_tqdm([logging.getLogger("simclr_tf")]):
        _run(config)


def _run(config: Config) -> None:
    task = config.task
    if task.mode == "eval":
        follow_run(config) if task.model_dir else evaluate_checkpoint(config)
    elif task.mode == "probe":
        probe(config)
    elif task.mode == "show_views":
        show_views(config)
    elif task.mode == "export":
        export(config)
    elif task.pretraining:
        pretrain(config)
    else:
        finetune(config)


def _show_own_messages() -> None:
    """Prints what this package logs, such as the preparation of a data set."""
    logger = logging.getLogger("simclr_tf")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(sys.stdout)]
    # Libraries give the root logger a handler when they first warn: a second copy of each line.
    logger.propagate = False
