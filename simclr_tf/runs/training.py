"""What pre-training and fine-tuning share: the steps of training, and the export."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from simclr_tf import data, files, stopping
from simclr_tf.checkpoints import read_parts
from simclr_tf.errors import RunFailed, first_line
from simclr_tf.runs.batches import training_batches, view_pipeline
from simclr_tf.runs.failures import explaining_failures, same_command
from simclr_tf.runs.folder import describe_network
from simclr_tf.runs.health import watch_health
from simclr_tf.runs.knn_curve import KnnOnSome
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.runs.starting import Start
from simclr_tf.runs.verdict import guesses
from simclr_tf.serving.export import export_saved_model
from simclr_tf.training.checkpointing import Checkpointing
from simclr_tf.training.classifier import Classifier
from simclr_tf.training.curves import Curves
from simclr_tf.training.diverged import Diverged, WatchLoss
from simclr_tf.training.knn_curve import KnnCurve
from simclr_tf.training.loops import Loops
from simclr_tf.training.network import Network
from simclr_tf.training.preemption import Preemption
from simclr_tf.training.profiling import Profiling
from simclr_tf.training.progress import Progress
from simclr_tf.training.simclr import SimCLR
from simclr_tf.training.summaries import Summaries
from simclr_tf.training.tally import Tally

Trainable = SimCLR | Classifier

_SHOWN = 8  # pairs of views in TensorBoard


class Trained(NamedTuple):
    """What became of a run's steps.

    Attributes:
      metrics: of the last summary, none if there was nothing left to train.
      seconds: that this process has trained.
    """

    metrics: dict[str, float]
    seconds: float


class Callbacks(NamedTuple):
    """What looks at the steps of a run, in the order in which it is called."""

    tally: Tally
    progress: Progress
    watch: WatchLoss
    knn: KnnCurve | None
    summaries: Summaries
    checkpointing: Checkpointing
    curves: Curves
    preemption: Preemption
    loops: Loops | None
    profiling: Profiling | None


def train(
    run: PreparedRun, model: Trainable, start: Start, knn: KnnOnSome | None = None
) -> Trained:
    """Trains from `start` to the planned step.

    Args:
      run: from `prepare`.
      model: compiled.
      start: where it stands.
      knn: what is measured meanwhile, if anything.

    Raises:
      RunFailed: the run cannot go on: its loss is no number, or a checkpoint cannot be written, or
        memory or data end.
      Stopped: by a signal; the state is saved.
    """
    config, plan, workers = run.config, run.plan, run.workers
    if start.step >= plan.train_steps:
        return Trained({}, 0.0)
    pipeline = view_pipeline(run, model)
    first, sample_views = None, None
    if workers.is_chief and run.device_type != "TPU":
        first = data.FirstBatch(_SHOWN, leave_out=("label",))
        sample_views = lambda: pipeline.views.finish_few(first.take())
    callbacks = make_callbacks(run, model, start, sample_views, knn)
    began = time.monotonic()
    try:
        told = f"in training, not saved; {same_command(config)} goes on from the last checkpoint"
        with (
            explaining_failures(run, start.state),
            stopping.during(told),
            stopping.until_step_ends(callbacks.preemption.tell),
        ):
            model.fit(
                training_batches(run, pipeline, start=start.step, first=first),
                steps_per_epoch=plan.train_steps - start.step,
                verbose=0,
                callbacks=[callback for callback in callbacks if callback is not None],
            )
            # Keras takes an error of this kind, wherever it comes from, for the end of the data.
            if callbacks.checkpointing.step != plan.train_steps:
                raise Diverged("data", callbacks.checkpointing.step)
    finally:
        seconds = time.monotonic() - began
        callbacks.progress.close()
        if callbacks.profiling is not None:
            callbacks.profiling.close()
        with stopping.during(f"while drawing curves; {same_command(config)} goes on"):
            callbacks.curves.draw()
    left_out = callbacks.watch.left_out
    if left_out:
        print(f"{left_out:,} steps left out, whose loss or weights were no numbers")
    return Trained(callbacks.summaries.last, seconds)


def make_callbacks(
    run: PreparedRun,
    model: Trainable,
    start: Start,
    images: Callable[[], tf.Tensor] | None,
    knn: KnnOnSome | None = None,
) -> Callbacks:
    """Returns what looks at the steps of a run.

    Args:
      run: from `prepare`.
      model: compiled.
      start: where it stands.
      images: see `Summaries`.
      knn: see `train`.
    """
    config, plan, workers = run.config, run.plan, run.workers
    batch = config.optimization.train_batch_size
    folder = config.task.model_dir if workers.is_chief else None
    span = {"start": start.step, "total": plan.train_steps}
    compared = guesses(config, model.num_classes)
    every: tuple[int, ...] = (plan.summary_steps, plan.checkpoint_steps)
    once: tuple[int, ...] = ()
    profiling = None
    if config.files.profile_steps is not None:
        first, last = map(int, config.files.profile_steps.split(":"))
        once = (first - 1, last)
        if folder is not None:
            place = files.join(folder, "train")  # beside TensorBoard's other files
            profiling = Profiling(place, start=start.step, first=first, last=last)
    curve = None
    if knn is not None:
        every = (*every, knn.every)
        curve = KnnCurve(
            knn.measurer(model.encoder), config.task.model_dir, **span, every=knn.every
        )
    tally = Tally(model)
    health = watch_health(run, model, start.step)
    return Callbacks(
        tally,
        Progress(
            tally,
            **span,
            views=batch * (2 if config.task.pretraining else 1),
            epoch=plan.train_examples / batch,
            guessing=compared,
            loss=config.loss.title,
            worker="" if workers.is_chief else workers.name,
            health=health,
        ),
        WatchLoss(start=start.step),
        curve,
        Summaries(
            tally,
            **span,
            folder=folder,
            every=plan.summary_steps,
            schedule=run.schedule,
            images=images,
            health=health,
        ),
        Checkpointing(start.state, **span, every=plan.checkpoint_steps),
        Curves(folder, **span, every=plan.checkpoint_steps, guessing=compared),
        Preemption(
            model,
            start.state,
            start=start.step,
            several=workers.count > 1,
            account=f"{same_command(config)} goes on",
        ),
        None if plan.steps_per_loop else Loops(**span, every=every, once=once),
        profiling,
    )


def export(run: PreparedRun, model: Network, start: Start) -> None:
    """Writes the SavedModel of the trained network; the chief alone does."""
    if not run.workers.is_chief:
        read_parts(model.parts)  # what replicas average is averaged when all of them read it
        return
    config = run.config
    network = dataclasses.replace(
        describe_network(config, model.num_classes, run.dataset),
        step=reached(run, start),
    )
    folder = config.task.model_dir
    saved = f"the weights are saved at step {network.step:,}, {same_command(config)} exports them"
    with stopping.during(f"while exporting; {saved}"):
        try:
            exported = export_saved_model(
                model,
                network,
                model_dir=folder,
                export_precision=config.export.export_precision,
                keep=config.files.keep_hub_module_max,
                batch_norm_momentum=config.batch_norm.batch_norm_decay,
            )
        except (OSError, tf.errors.OpError) as error:
            raise RunFailed(
                f"`model_dir={folder}`: the SavedModel cannot be written ({first_line(error)}); "
                f"make room or mend the folder: {saved}"
            ) from error
    print(f"SavedModel: {exported}")


def reached(run: PreparedRun, start: Start) -> int:
    """Returns the step of the trained weights: beyond the plan's where the data have shrunk."""
    return max(start.step, run.plan.train_steps)
