"""What pre-training and fine-tuning share: each function is a step of their stories."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf import data, stopping
from simclr_tf.augmentation import ViewPipeline
from simclr_tf.checkpoints import StoredWeights, read_parts, restore_parts
from simclr_tf.distribution import noticing_lost_workers, sum_over_workers
from simclr_tf.errors import RunFailed, SettingError, first_line
from simclr_tf.optimizers import build_optimizer
from simclr_tf.runs.failures import explaining_failures, same_command
from simclr_tf.runs.folder import describe_network, note_files, write_description
from simclr_tf.runs.lock import Lock, holding
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.runs.start_screen import describe
from simclr_tf.serving.export import export_saved_model
from simclr_tf.training.checkpointing import Checkpointing
from simclr_tf.training.classifier import Classifier
from simclr_tf.training.diverged import Diverged, WatchLoss
from simclr_tf.training.network import Network
from simclr_tf.training.preemption import Preemption
from simclr_tf.training.progress_bar import ProgressBar
from simclr_tf.training.simclr import SimCLR
from simclr_tf.training.summaries import Summaries
from simclr_tf.training.training_state import DAMAGED, TrainingState

Trainable = SimCLR | Classifier

_SHOWN = 8  # pairs of views in TensorBoard


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run stands before it is trained.

    Attributes:
      state: saves and restores it.
      step: that it goes on from, 0 for a new one.
      origin: of its weights, in words.
    """

    state: TrainingState
    step: int
    origin: str


@contextlib.contextmanager
def taking_charge(run: PreparedRun) -> Iterator[Lock | None]:
    """While it is open, this process, or the machines that it belongs to, alone write `model_dir`.

    Raises:
      SettingError: another process does.
      LostWorker: another machine of the run is gone.
    """
    folder = run.config.task.model_dir
    told = f"; {same_command(run.config)} goes on"
    with (
        stopping.during(f"while getting ready{told}"),
        holding(folder, needed=run.workers.is_chief) as lock,
        noticing_lost_workers(run.workers),
    ):
        yield lock


def report_bad_images(run: PreparedRun) -> contextlib.AbstractContextManager[None]:
    """While it is open, names images that cannot be read in a file of the run's folder."""
    return run.dataset.report_bad_images(run.workers.own_folder(run.config.task.model_dir))


def compile_network(model: Network, run: PreparedRun) -> None:
    """Gives the network its optimizer; call it in the strategy's scope."""
    asked = run.config.optimization
    optimizer = build_optimizer(
        asked.optimizer,
        learning_rate=run.schedule,
        momentum=asked.momentum,
        weight_decay=asked.weight_decay,
        exclude=model.undecayed,
    )
    if hasattr(optimizer, "build"):  # tensorflow-addons' build themselves at the first step
        optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        jit_compile=run.config.hardware.jit_compile,
        steps_per_execution=run.plan.steps_per_loop,
        skip_nonfinite=asked.on_nonfinite == "skip",
    )


def find_start(
    run: PreparedRun, model: Network, weights: StoredWeights | None, lock: Lock | None
) -> Start:
    """Restores the run's newest checkpoint, else the initial weights, into the network.

    Args:
      run: from `prepare`.
      model: compiled.
      weights: initial ones, for a run that has no checkpoint of its own yet.
      lock: of the run's folder, on the chief.

    Raises:
      UserError: weights do not fit.
    """
    task, workers = run.config.task, run.workers
    scratch = None if workers.is_chief else f"{workers.own_folder(task.model_dir)}.tmp"
    state = TrainingState(
        model,
        task.model_dir,
        run.config.files.keep_checkpoint_max,
        scratch,
        **({"may_write": lock.check} if lock else {}),
    )
    restored = state.restore()
    step = 0 if restored is None else restored.step
    together = sum_over_workers(step, run.strategy, workers)
    if together != step * workers.count:
        raise SettingError(
            "model_dir",
            task.model_dir,
            f"holds other checkpoints on other workers (step {step} here, "
            f"{together / workers.count:g} on average)",
            "give a folder that all reach",
        )
    if restored is not None:
        left = [f"{note}: moved into {DAMAGED}/" for note in restored.notes]
        return Start(state, step, "\n".join([f"continues from step {step:,}", *left]))
    if weights is None:
        return Start(state, step, "new")
    parts = {name: model.parts[name] for name in ("encoder", "projection_head")}
    partial = task.allow_partial_checkpoint
    return Start(state, step, restore_parts(parts, weights, allow_partial=partial))


def announce(run: PreparedRun, model: Network, start: Start, weights: StoredWeights | None) -> None:
    """Prints what will happen, and writes what the run is; the chief alone does."""
    if not run.workers.is_chief:
        return
    config, plan = run.config, run.plan
    if start.step >= plan.train_steps:
        folder = config.task.model_dir
        more = f" ({plan.train_steps:,} would do for the images there are now)"
        more = more if start.step > plan.train_steps else ""
        print(f"{folder} is finished: {start.step:,} of {start.step:,} steps{more}")
        return
    parameters = _count_parameters(model)
    print(describe(config, plan, parameters=parameters, devices=_name_devices(run)))
    print(f"  {'weights':<11}" + start.origin.replace("\n", f"\n{'':<13}"), flush=True)
    network = describe_network(config, model.num_classes, run.dataset.class_names)
    write_description(config, plan, network, weights)
    note_files(config, run.dataset)


def train(run: PreparedRun, model: Trainable, start: Start) -> dict[str, float]:
    """Trains from `start` to the planned step.

    Returns:
      The metrics of the last summary, none if there was nothing left to train.

    Raises:
      RunFailed: the run cannot go on: its loss is no number, or a checkpoint cannot be written, or
        memory or data end.
      Stopped: by a signal; the state is saved.
    """
    config, plan, workers = run.config, run.plan, run.workers
    if start.step >= plan.train_steps:
        return {}
    assert model.views is not None  # `runs.networks` gives them
    batch = config.optimization.train_batch_size
    pipeline = ViewPipeline(model.views, on_device=_augments_on_device(run))
    input_fn = data.train_input_fn(
        run.dataset,
        split=config.data.train_split,
        global_batch_size=batch,
        transform=pipeline,
        cache=config.data.cache_dataset,
        seed=config.task.seed,
        start_step=start.step,
    )
    span = {"start": start.step, "total": plan.train_steps}
    bar = ProgressBar(
        **span, views=batch * (2 if config.task.pretraining else 1), shown=workers.is_chief
    )
    watch = WatchLoss(start=start.step)
    summaries = Summaries(
        model,
        **span,
        log_dir=f"{config.task.model_dir}/train" if workers.is_chief else None,
        every=plan.summary_steps,
        schedule=run.schedule,
        images=_sample_views(run, pipeline) if workers.is_chief else None,
    )
    checkpointing = Checkpointing(start.state, **span, every=plan.checkpoint_steps)
    preemption = Preemption(
        model,
        start.state,
        start=start.step,
        several=workers.count > 1,
        account=f"{same_command(config)} goes on",
    )
    try:
        with explaining_failures(run, start.state), stopping.until_step_ends():
            model.fit(
                run.strategy.distribute_datasets_from_function(input_fn),
                steps_per_epoch=plan.train_steps - start.step,
                verbose=0,
                callbacks=[bar, watch, summaries, checkpointing, preemption],
            )
            # Keras takes an error of this kind, wherever it comes from, for the end of the data.
            if checkpointing.step != plan.train_steps:
                raise Diverged("data", checkpointing.step)
    finally:
        bar.close()
    if watch.left_out:
        print(f"{watch.left_out:,} steps left out, whose loss or weights were no numbers")
    return summaries.last


def export(run: PreparedRun, model: Network, start: Start) -> None:
    """Writes the SavedModel of the trained network; the chief alone does."""
    if not run.workers.is_chief:
        read_parts(model.parts)  # what replicas average is averaged when all of them read it
        return
    config = run.config
    network = dataclasses.replace(
        describe_network(config, model.num_classes, run.dataset.class_names),
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


def _sample_views(run: PreparedRun, pipeline: ViewPipeline) -> tf.Tensor:
    """Returns the views of a few training images, [count, ...], to be looked at.

    They are made as training makes its own, so that nothing is compiled for them: images of one
    size in batches of a replica's size, others one by one.
    """
    config = run.config
    count = batch = _SHOWN
    if run.dataset.has_static_size:
        batch = config.optimization.train_batch_size // run.plan.replicas
    input_fn = data.train_input_fn(
        run.dataset,
        split=config.data.train_split,
        global_batch_size=batch,
        transform=pipeline,
        cache=False,
        seed=config.task.seed,
        shuffle_buffer=16 * count,
    )
    (first,) = input_fn(tf.distribute.InputContext()).take(1)
    return pipeline.views.finish(first)[:count]


def _augments_on_device(run: PreparedRun) -> bool:
    place = run.config.augmentation.augment_on
    return run.device_type != "CPU" if place == "auto" else place == "device"


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
