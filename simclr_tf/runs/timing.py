"""How long a run's steps, views and checkpoints take, measured before it begins."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from simclr_tf import data
from simclr_tf.augmentation import ViewPipeline
from simclr_tf.errors import RunFailed
from simclr_tf.runs.batches import noise_batches, training_batches, view_pipeline
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training.network import Network
from simclr_tf.training.rehearsal import Pace, pace
from simclr_tf.training.training_state import TrainingState

_PACE_SECONDS = 4.0  # with the run's data, and half of that without
_VIEWS_SECONDS = 1.0
_VIEWS_AT_ONCE = 8
_LARGE = 1e9  # bytes of a checkpoint
_BYTES_A_SECOND = 2e8  # written, and read back


class Saved(NamedTuple):
    """A checkpoint: bytes on disk, and seconds until it is written and read back."""

    size: int
    seconds: float


class RunPace(NamedTuple):
    """The pace of a run's own steps.

    Attributes:
      step: seconds of a step.
      compared: the same, to be compared with other ways to take it; see `to_compare`.
      waiting: the share of this that would be gained if batches cost nothing.
    """

    step: float
    compared: float
    waiting: float


def pace_of_run(run: PreparedRun, model: Network) -> RunPace:
    """Takes steps as the run's own; call it while `rehearsing`."""
    pipeline = view_pipeline(run, model)
    whole = pace(model, training_batches(run, pipeline), seconds=_PACE_SECONDS)
    bare = pace(model, noise_batches(run, pipeline), seconds=_PACE_SECONDS / 2)
    compared = to_compare(run, whole)
    return RunPace(whole.step, compared, max(0.0, 1 - to_compare(run, bare) / compared))


def pace_of_noise(run: PreparedRun, model: Network, *, seconds: float) -> Pace:
    """Takes steps whose batches cost nothing. It changes the network."""
    return pace(model, noise_batches(run, view_pipeline(run, model)), seconds=seconds)


def to_compare(run: PreparedRun, measured: Pace) -> float:
    """Returns the seconds of a step by which one way to compute is better than another.

    Of processors where these compute the steps: on machines that do other work, too, seconds by the
    clock differ more from round to round than the ways do.
    """
    return measured.work if run.device_type == "CPU" else measured.step


def of_checkpoint(model: Network) -> Saved:
    """Writes one into the system's temporary folder and removes it; a large one is guessed."""
    own = model.optimizer.variables
    kept = [*model.variables, *(own() if callable(own) else own)]
    size = sum(variable.dtype.size * variable.shape.num_elements() for variable in kept)
    if size < _LARGE:
        with contextlib.suppress(RunFailed), tempfile.TemporaryDirectory() as folder:
            state = TrainingState(model, folder, keep=1)
            began = time.perf_counter()
            state.save(0)
            seconds = time.perf_counter() - began
            return Saved(sum(f.stat().st_size for f in Path(folder).glob("ckpt-0.*")), seconds)
    return Saved(size, size / _BYTES_A_SECOND)


def seconds_of_views(run: PreparedRun, model: Network) -> float:
    """Returns the seconds that the input pipeline takes for an image, with all cores for itself.

    Batches are of the size that training compiles its views for.
    """
    assert model.views is not None
    size = run.config.optimization.train_batch_size // run.plan.replicas
    if not run.dataset.has_static_size:
        size = _VIEWS_AT_ONCE
    input_fn = data.train_input_fn(
        run.dataset,
        split=run.config.data.train_split,
        global_batch_size=size,
        transform=ViewPipeline(model.views, on_device=False),
        cache=False,
        seed=run.config.task.seed,
        shuffle_buffer=size,
    )
    batches = iter(input_fn(tf.distribute.InputContext()))
    next(batches)
    images, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < _VIEWS_SECONDS:
        next(batches)
        images += size
    return passed / images
