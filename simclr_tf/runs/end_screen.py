"""What a training run prints when it has ended: what became of it, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from simclr_tf import files, flag_definitions, paths, terminal
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.runs.command_line import command_line
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.runs.starting import Start
from simclr_tf.runs.training import Trained, reached
from simclr_tf.runs.verdict import verdict_of
from simclr_tf.training import curves
from simclr_tf.training.metrics_file import MetricsFile

# Of the group `data`, what a checkpoint brings along, or belongs to the run that was alone.
_NOT_HANDED_ON = ("train_split", "labels_per_class", "image_size")


def announce_end(run: PreparedRun, start: Start, trained: Trained) -> None:
    """Prints verdict, duration, images seen and the next commands; the chief alone does."""
    if not run.workers.is_chief:
        return
    config = run.config
    lines = MetricsFile(config.task.model_dir).read()
    total, classes = run.plan.train_steps, run.plan.num_classes
    rows = [*verdict_of(config, lines, total=total, num_classes=classes)]
    rows += _duration(run, start, trained)
    print(*(f"  {name:<11}{text}" for name, text in rows), sep="\n")
    commands = _after_pretraining(run) if config.task.pretraining else _after_finetuning(run)
    for purpose, command in commands:
        print(f"  {'next':<11}{purpose}:\n{command}")
    print(end="", flush=True)


def _duration(run: PreparedRun, start: Start, trained: Trained) -> Iterator[tuple[str, str]]:
    """Tells of the steps of this process alone: nobody knows how long others took."""
    steps = reached(run, start) - start.step
    if not steps:
        return
    images = steps * run.config.optimization.train_batch_size
    which = f"{steps:,} steps"
    if start.step:
        which = f"steps {start.step + 1:,} to {start.step + steps:,}, which is since it went on"
    yield "took", f"{terminal.duration(trained.seconds)} for {which}; {images:,} images seen"
    yield "curves", files.join(run.config.task.model_dir, curves.NAME)


def _after_pretraining(run: PreparedRun) -> Iterator[tuple[str, str]]:
    """Yields what one may do next, and the command."""
    config = run.config
    folder = config.task.model_dir
    labels = {}
    if run.dataset.num_classes is None:
        if not config.data.dataset.startswith("folder:"):
            yield "measure its health", command_line({"mode": "probe", "model_dir": folder})
            return
        labels = {"dataset": config.data.dataset, "folder_labels": "folders"}
    classes = ", where its folders are the classes" if labels else ""
    split = _other_eval_split(run)
    probed = {"mode": "probe", "model_dir": folder, **labels, **split}
    yield f"measure the features{classes}", command_line(probed)
    tuned = {**_data(config), **labels, **split, "checkpoint": folder}
    tuned = {"train_mode": "finetune", "mode": "train_then_eval", **tuned}
    yield f"fine-tune a classifier{classes}", command_line(tuned)


def _after_finetuning(run: PreparedRun) -> Iterator[tuple[str, str]]:
    config = run.config
    folder = config.task.model_dir
    if config.task.mode == "train":
        evaluated = {"mode": "eval", "model_dir": folder, **_other_eval_split(run)}
        yield "evaluate the classifier", command_line(evaluated)
    if not paths.is_remote(folder):
        volume = shlex.quote(f"{paths.absolute(folder)}:/models/simclr")
        yield (
            "serve it",
            f"docker run -p 8501:8501 -v {volume} tensorflow/serving "
            "--model_config_file=/models/simclr/serving/models.config",
        )
    yield "ask that server", "python -m simclr_tf.serving.client --rest=localhost:8501 image.jpg"


def _data(config: Config) -> dict[str, Any]:
    """Returns what must be given again to read the same data."""
    defaults = {row.name: row.default for row in flag_definitions.rows()}
    return {
        name: value
        for name, value in vars(config.data).items()
        if name == "dataset" or (value != defaults[name] and name not in _NOT_HANDED_ON)
    }


def _other_eval_split(run: PreparedRun) -> dict[str, str]:
    """Returns a split to evaluate on where there is none of the name that the run was given."""
    if run.config.data.eval_dataset is not None:  # its split was given with it
        return {}
    try:
        run.dataset.check_split(run.config.data.eval_split)
    except SettingError:
        others = [name for name in ("test", "validation") if name in run.dataset.splits]
        return {"eval_split": (others or ["train"])[0]}
    return {}
