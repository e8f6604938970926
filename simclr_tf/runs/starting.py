"""What pre-training and fine-tuning do before the first step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from simclr_tf import stopping
from simclr_tf.checkpoints import StoredWeights, restore_parts
from simclr_tf.distribution import noticing_lost_workers, sum_over_workers
from simclr_tf.errors import SettingError
from simclr_tf.optimizers import build_optimizer
from simclr_tf.runs import cost
from simclr_tf.runs.environment import note_environment
from simclr_tf.runs.failures import same_command
from simclr_tf.runs.folder import describe_network, note_files, write_description
from simclr_tf.runs.lock import Lock, holding
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.runs.start_screen import describe, rows_of
from simclr_tf.training import loops
from simclr_tf.training.network import Network
from simclr_tf.training.training_state import DAMAGED, TrainingState


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


@contextlib.contextmanager
def report_bad_images(run: PreparedRun) -> Iterator[None]:
    """While it is open, names images that cannot be read in a file of the run's folder."""
    folder = run.workers.own_folder(run.config.task.model_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(run.dataset.report_bad_images(folder))
        if run.eval_dataset is not None and run.config.data.eval_dataset is not None:
            stack.enter_context(run.eval_dataset.report_bad_images(folder))
        yield


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
        steps_per_execution=run.plan.steps_per_loop or loops.COMPILED_WITH,
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
        may_write=lock.check if lock else None,
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
    """Prints what will happen; the chief, at length, and writes what the run is.

    Raises:
      SettingError: there is not enough memory; nothing has been written.
    """
    config, plan, workers = run.config, run.plan, run.workers
    if not workers.is_chief:
        batch = config.optimization.train_batch_size
        print(
            f"{workers.name}: trains on its share of {config.data.dataset}, "
            f"{config.data.train_split}, {batch // workers.count:,} of {batch:,} images a step, "
            f"from step {start.step:,} to {plan.train_steps:,}; the first worker saves and reports",
            flush=True,
        )
        return
    if start.step >= plan.train_steps:
        folder = config.task.model_dir
        more = f" ({plan.train_steps:,} would do for the images there are now)"
        more = more if start.step > plan.train_steps else ""
        print(f"{folder} is finished: {start.step:,} of {start.step:,} steps{more}")
        return
    measured = cost.measure(run, model, plan.train_steps - start.step)
    rows = [*rows_of(run, model, measured), ("results", config.task.model_dir)]
    print(describe([*rows, ("weights", start.origin.replace("\n", f"\n{'':<13}"))]), flush=True)
    network = describe_network(config, model.num_classes, run.dataset)
    write_description(config, plan, network, weights, asked=run.asked)
    note_files(config, run.dataset)
    note_environment(run, start.step)
