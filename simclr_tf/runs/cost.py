"""What a run takes on this machine, measured before it begins.

Where memory runs out on a CPU the system ends the process, without a word. On accelerators
TensorFlow says so, and `runs.failures` makes a line of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import tensorflow as tf

from simclr_tf import memory
from simclr_tf.config import Config
from simclr_tf.distribution import gpus
from simclr_tf.errors import SettingError
from simclr_tf.runs import timing
from simclr_tf.runs.buffers import bytes_held
from simclr_tf.runs.estimate import CLOSE_ABOVE, Cost, gigabytes
from simclr_tf.runs.plan import largest_part
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training.network import Network
from simclr_tf.training.rehearsal import rehearsing

# What is surely small is not measured: `_guess_bytes` is right within a factor of two or so.
_SMALL_SHARE = 0.2  # of the memory there is
_SHORT_SECONDS = 60.0
_SECONDS_A_BYTE = 3e-9  # of activations, forward and backward, on two cores

# Batches are doubled until one shows clearly what an image takes.
_GROWTH = 200e6  # bytes
_LONG_STEP = 3.0  # seconds

# Beside a step: graphs, tiles of the loss, and the threads that make views.
_BESIDE = 350e6  # bytes
_BATCHES_OF_VIEWS = 4  # being made, or waiting

# The peak comes out within a tenth or so.
_REFUSED_ABOVE = 1.2

# A step that encodes twice takes so many times the seconds of one that takes all at once.
_TWICE = 1.4

# The whole batch's step is taken, for its time, where it is foreseen to be no longer than this.
_LONGEST_STEP = 60.0  # seconds


class _Memory(NamedTuple):
    """Bytes at the peak of a step: a fixed part, and one for each image of the global batch."""

    fixed: float
    image: float

    def at(self, batch: int) -> float:
        return self.fixed + self.image * batch

    def largest(self, room: float, replicas: int) -> int:
        """Returns the largest power of two, times the replicas, that fits; 0 if none does."""
        size = replicas
        while self.at(2 * size) < CLOSE_ABOVE * room:
            size *= 2
        return size if self.at(size) < room else 0


class StepCost(NamedTuple):
    """What a step of a batch takes: `memory.at(batch)` bytes, and `seconds` for each image."""

    memory: _Memory
    seconds: float


def room_of(run: PreparedRun) -> int:
    """Returns how many bytes this process, or a GPU, may have in all."""
    return _meter(run).room()


def foresee(run: PreparedRun, model: Network, most: int | None = None) -> StepCost:
    """Measures steps of small batches, from which those of any batch follow.

    Args:
      run: from `prepare`.
      model: compiled.
      most: the largest batch to try, if not what the run encodes at a time.
    """
    _meter(run).forget_peak()
    most = most or run.config.optimization.pairs_at_a_time
    needed, seconds = _measure_step(run, model, most)
    if run.device_type == "CPU":
        needed = _Memory(needed.fixed + max(bytes_held(run.config, run.dataset)), needed.image)
    return StepCost(needed, seconds)


def measure(
    run: PreparedRun, model: Network, steps: int, *, known: StepCost | None = None
) -> Cost | None:
    """Measures what `steps` more steps take.

    No variable and no random number of the run is another for it, and its training uses the step
    that is compiled here.

    Args:
      run: from `prepare`.
      model: compiled.
      steps: that are left.
      known: from `foresee`. With it, whatever the run is measured.

    Returns:
      None where it is surely little, where an accelerator computes or several machines do, and
      where the system does not tell.

    Raises:
      SettingError: there is not enough memory.
    """
    if steps < 1 or (known is None and (run.device_type != "CPU" or run.workers.count > 1)):
        return None
    room, batch = room_of(run), run.config.optimization.train_batch_size
    at_a_time, networks = run.config.optimization.pairs_at_a_time, _networks(run)
    guess = sum(map(_guess_bytes, networks))
    short = sum(map(guess_seconds, networks)) * steps < _SHORT_SECONDS
    if known is None and short and guess < _SMALL_SHARE * room:
        return None
    first, later = bytes_held(run.config, run.dataset) if run.device_type == "CPU" else (0.0, 0.0)
    fits = guess + max(first, later) < _SMALL_SHARE * room
    try:
        if known is None and not fits:
            known = foresee(run, model)
        _meter(run).forget_peak()
    except OSError:
        return None
    if known is not None and known.memory.at(at_a_time) > _REFUSED_ABOVE * room:
        raise too_much(run, known.memory, room)
    pace, twice = None, _TWICE if at_a_time < batch else 1.0
    if known is not None and twice * known.seconds * batch > _LONGEST_STEP:
        needed = known.memory.at(at_a_time)
        step_seconds = twice * batch * (known.seconds + timing.seconds_of_views(run, model))
    else:
        with rehearsing(model, run.strategy) as kept:
            pace = timing.pace_of_run(run, model)
            needed = _meter(run).peak() - _held(run, kept)
        step_seconds, needed = pace.step, needed + later - first
    saves = -(-steps // run.plan.checkpoint_steps)
    seconds = steps * step_seconds + saves * timing.of_checkpoint(model).seconds
    unit = "pairs" if run.config.task.pretraining else "images"
    return Cost(round(needed), room, step_seconds, seconds, batch / step_seconds, unit, pace)


def is_surely_small(run: PreparedRun) -> bool:
    """Says, by a guess, whether a step takes little of the memory there is."""
    return _guess_bytes(run.config) < _SMALL_SHARE * room_of(run)


def fitting_part(run: PreparedRun, needed: _Memory, room: int) -> int:
    """Returns how many pairs of the batch fit at a time, all if they do; 0 for none."""
    batch, replicas = run.config.optimization.train_batch_size, run.plan.replicas
    if needed.at(batch) < CLOSE_ABOVE * room:
        return batch
    return largest_part(batch, needed.largest(room, replicas), replicas)


def guess_seconds(config: Config) -> float:
    """Returns, roughly, the seconds of a step on two cores."""
    parts = config.optimization.train_batch_size / config.optimization.pairs_at_a_time
    return parts * _guess_bytes(config) * config.architecture.width_multiplier * _SECONDS_A_BYTE


def _meter(run: PreparedRun) -> ModuleType:
    return memory if run.device_type == "CPU" else gpus


def _held(run: PreparedRun, kept: int) -> int:
    """Returns how much of what a rehearsal keeps, which is on the host, counts as memory here."""
    return kept if run.device_type == "CPU" else 0


def _networks(run: PreparedRun) -> list[Config]:
    """Returns configurations of the networks of a step: of the run's, and of its teacher's.

    A teacher takes less, since it is not trained; but what is surely small has to be so.
    """
    if run.teacher is None:
        return [run.config]
    network = run.teacher.description
    given = {**vars(network.architecture), "image_size": network.image_size}
    del given["cifar_stem"]  # follows from image_size
    return [run.config, run.config.replace(**given)]


def _guess_bytes(config: Config) -> float:
    """Returns, roughly, the bytes of a step's activations."""
    network = config.architecture
    views = 2 if config.task.pretraining else 1
    pixels = views * config.optimization.pairs_at_a_time * config.data.image_size**2
    stem = 1.0 if network.cifar_stem else 0.1
    return 500 * network.resnet_depth * network.width_multiplier * stem * pixels


def _measure_step(run: PreparedRun, model: Network, most: int) -> tuple[_Memory, float]:
    """Returns what steps take, of memory by batch, and of seconds by image."""
    replicas = run.plan.replicas
    meter = _meter(run)
    room = meter.room()
    sizes: list[int] = []
    peaks: list[float] = []
    with rehearsing(model, run.strategy) as kept:
        for size in _sizes(most, replicas):
            began = time.perf_counter()
            _step(run, model, size)
            seconds = time.perf_counter() - began
            sizes.append(size)
            peaks.append(meter.peak() - _held(run, kept))
            if len(sizes) > 1 and (
                peaks[-1] - peaks[-2] > _GROWTH or seconds > _LONG_STEP or peaks[-1] > room / 2
            ):
                break
        # The first of a size is slower: kernels are prepared for it. A small step is mostly
        # Python's; what images add to it is what a graph takes too.
        times = [_seconds(run, model, size) for size in (sizes[0], sizes[-1])]
    rise = (peaks[-1] - peaks[-2]) / (sizes[-1] - sizes[-2]) if len(sizes) > 1 else 0.0
    side = run.config.data.image_size
    views = _BATCHES_OF_VIEWS * (2 if run.config.task.pretraining else 1) * 12 * side**2
    fixed = peaks[-1] - rise * sizes[-1] + _BESIDE
    seconds = times[1] / sizes[-1]
    if len(sizes) > 1 and times[1] > times[0]:
        seconds = (times[1] - times[0]) / (sizes[-1] - sizes[0])
    return _Memory(fixed, rise + views), seconds


def _sizes(batch: int, replicas: int) -> Iterator[int]:
    """Yields batches, each twice the one before, up to `batch`."""
    size = min(2 * replicas, batch)
    while size <= batch:
        yield size
        size *= 2


def _seconds(run: PreparedRun, model: Network, size: int) -> float:
    began = time.perf_counter()
    _step(run, model, size)
    return time.perf_counter() - began


def _step(run: PreparedRun, model: Network, size: int) -> None:
    """Takes a step of `size` images of noise, eagerly: tracing it would take longer."""
    side, pretraining = run.config.data.image_size, run.config.task.pretraining
    own = size // run.plan.replicas
    shape = [own, 2, side, side, 3] if pretraining else [own, side, side, 3]
    noise = tf.random.stateless_uniform(shape, seed=(0, 0))
    batch = {"views": noise, "label": tf.zeros([own], tf.int64)}
    step = getattr(model.train_step, "python_function", model.train_step)
    results = run.strategy.run(step, args=(batch,))
    for result in results.values():
        tf.nest.map_structure(lambda x: x.numpy(), run.strategy.experimental_local_results(result))


def too_much(run: PreparedRun, needed: _Memory, room: int) -> SettingError:
    """Returns the error that says what a step needs, and what would fit."""
    asked = run.config
    batch, replicas = asked.optimization.train_batch_size, run.plan.replicas
    least = 2 if asked.task.pretraining else 1
    at_a_time, size = asked.optimization.pairs_at_a_time, needed.largest(room, replicas)
    remedy = "a smaller `image_size` or network"
    if size >= least * replicas:
        scaling = asked.optimization.learning_rate_scaling
        root = " with `learning_rate_scaling=sqrt`" * (asked.task.pretraining and scaling != "sqrt")
        remedy = f"`train_batch_size={size}`{root}, or {remedy}"
        if asked.task.pretraining and (part := largest_part(batch, size, replicas)) > 1:
            remedy = f"`micro_batch_size={part}`, {remedy}"
    if asked.data.cache_dataset:
        remedy += ", or `cache_dataset=false`"
    return SettingError(
        "micro_batch_size" if at_a_time < batch else "train_batch_size",
        at_a_time,
        f"needs about {gigabytes(needed.at(at_a_time))}, {gigabytes(room)} are free",
        f"give {remedy}",
    )
