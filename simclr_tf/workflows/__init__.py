"""One file per thing a user can ask for; `run` picks it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

import absl.logging
from tqdm.contrib.logging import logging_redirect_tqdm

from simclr_tf import files, flag_definitions, stopping
from simclr_tf.config import Config


def run(config: Config) -> None:
    """Does what `mode` and `train_mode` ask for.

    Raises:
      UserError: bad input.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _check_reachable(config)
    began = f"in --mode={config.task.mode}, before it was done; the same command begins again"
    with messages_are_shown(), stopping.during(began):
        _run(config)


def _run(config: Config) -> None:
    """Imports what is asked for only: scikit-learn alone, for the probe, takes half a second."""
    task = config.task
    if task.mode == "eval":
        from simclr_tf.workflows.evaluate import evaluate_checkpoint, follow_run

        follow_run(config) if task.model_dir else evaluate_checkpoint(config)
    elif task.mode == "probe":
        from simclr_tf.workflows.probe import probe

        probe(config)
    elif task.mode == "evaluate":
        from simclr_tf.workflows.protocols import evaluate_by_protocols

        evaluate_by_protocols(config)
    elif task.mode == "compare":
        from simclr_tf.workflows.compare import compare

        compare(config)
    elif task.mode == "embed":
        from simclr_tf.workflows.embed import embed

        embed(config)
    elif task.mode == "neighbors":
        from simclr_tf.workflows.neighbors import neighbors

        neighbors(config)
    elif task.mode == "report":
        from simclr_tf.workflows.report import report

        report(config)
    elif task.mode == "show_views":
        from simclr_tf.workflows.show_views import show_views

        show_views(config)
    elif task.mode == "export":
        from simclr_tf.workflows.export import export

        export(config)
    elif task.mode == "plan":
        from simclr_tf.workflows.plan import plan

        plan(config)
    elif task.pretraining:
        from simclr_tf.workflows.pretrain import pretrain

        pretrain(config)
    elif task.distilling:
        from simclr_tf.workflows.distill import distill

        distill(config)
    else:
        from simclr_tf.workflows.finetune import finetune

        finetune(config)


def _check_reachable(config: Config) -> None:
    """Raises SettingError where a flag names a path that TensorFlow cannot reach here."""
    settings = config.flat()
    for row in flag_definitions.rows():
        value = settings[row.name]
        for item in value if isinstance(value, tuple) else (value,):
            path = row.path and row.path.path_of(item)
            if path:
                files.check_reachable(row.name, item, path)


@contextlib.contextmanager
def messages_are_shown() -> Iterator[None]:
    """While it is open, what this package logs, and Python's warnings, are printed.

    What is said while a progress bar is drawn gets a line of its own.
    """
    own, warned = logging.getLogger("simclr_tf"), logging.getLogger("py.warnings")
    own.setLevel(logging.INFO)
    for logger, stream in ((own, sys.stdout), (warned, sys.stderr)):
        logger.handlers = [logging.StreamHandler(stream)]
        # Libraries give the root logger a handler when they first warn: a second copy of each line.
        logger.propagate = False
    logging.captureWarnings(True)
    try:
        with logging_redirect_tqdm([own, warned]):
            yield
    finally:
        logging.captureWarnings(False)
