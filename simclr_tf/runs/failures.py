"""What is said where a run cannot go on: what happened, what is safe, and what to do about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf.config import Config
from simclr_tf.errors import RunFailed, first_line
from simclr_tf.runs.plan import largest_part
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training.diverged import Diverged
from simclr_tf.training.training_state import TrainingState

# Not those of another machine that is gone: see `noticing_lost_workers`.
_FILES = (
    OSError,
    tf.errors.ResourceExhaustedError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.NotFoundError,
    tf.errors.DataLossError,
)


def same_command(config: Config) -> str:
    """Returns what a user must start again to go on with the run."""
    if "model_dir" in config.given:
        return "the same command"
    return f"the same command with --model_dir={config.task.model_dir}"


@contextlib.contextmanager
def explaining_failures(run: PreparedRun, state: TrainingState) -> Iterator[None]:
    """While it is open, makes one line of what ends training, if it is no bug.

    Raises:
      RunFailed: in the place of what was raised.
    """
    try:
        yield
    except Diverged as end:
        raise RunFailed(_explain_end(run, state, end)) from end
    except MemoryError as error:
        raise RunFailed(_explain_memory(run)) from error
    except BrokenPipeError:
        raise  # nobody reads what is printed any more
    except _FILES as error:
        if "OOM" in str(error):
            raise RunFailed(_explain_memory(run)) from error
        raise RunFailed(
            f"`model_dir={run.config.task.model_dir}`: the run met a file that it cannot write or "
            f"read ({first_line(error)}); {state.standing()}, and {same_command(run.config)} goes "
            "on"
        ) from error


def _explain_end(run: PreparedRun, state: TrainingState, end: Diverged) -> str:
    folder = run.config.task.model_dir
    if end.what == "data":
        return (
            f"`model_dir={folder}`: training ended at step {end.step:,} of "
            f"{run.plan.train_steps:,}, because a file could not be written or the data ended; "
            f"{state.standing()}, and {same_command(run.config)} goes on"
        )
    steps = f"{end.step:,}" if end.first == end.step else f"{end.first:,} to {end.step:,}"
    happened = f"the {end.what} at step {steps} is no number"
    if end.steps:
        happened = f"{end.steps} steps in a row, the last of them {end.step:,}, give no number"
    remedy = "start in another `model_dir`"
    if state.saved is not None:
        remedy += f" with `checkpoint={folder}`"
    return (
        f"{happened}; nothing was saved of it, {state.standing()}. Most likely the learning rate "
        f"is too high, {float(run.schedule(end.step - 1)):.3g} there: {remedy}, a lower "
        "`learning_rate` or more `warmup_epochs`. The pictures of that step: `mode=show_views` "
        f"`model_dir={folder}` `step={end.first}`"
    )


def _explain_memory(run: PreparedRun) -> str:
    asked, replicas = run.config.optimization, run.plan.replicas
    batch, at_a_time = asked.train_batch_size, asked.pairs_at_a_time
    half = max(at_a_time // 2 // replicas, 1) * replicas
    less = f"`train_batch_size={half}`"
    part = largest_part(batch, half, replicas)
    if run.config.task.pretraining and part > 1:
        less = f"`micro_batch_size={part}`" + ("" if asked.in_parts else f" or {less}")
    name = "micro_batch_size" if asked.in_parts else "train_batch_size"
    return (
        f"`{name}={at_a_time}` needs more memory than there is; give {less}, or a smaller "
        "`image_size` or network, in another `model_dir`"
    )
