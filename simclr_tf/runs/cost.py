"""What a run takes on this machine's CPUs, measured on small batches before it begins.

Where memory runs out on a CPU the system ends the process, without a word. On accelerators
TensorFlow says so, and `runs.failures` makes a line of it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf import data, memory
from simclr_tf.augmentation import ViewPipeline
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
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
_CLOSE_ABOVE = 0.85

_VIEWS_SECONDS = 1.0
_VIEWS_AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run takes.

    Attributes:
      memory: of the process at its peak, in bytes.
      room: what it may take at most, in bytes.
      step_seconds: of one step of the whole batch, its views included.
      seconds: of all steps that are left.
    """

    memory: int
    room: int
    step_seconds: float
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Returns what the start screen says of it."""
        close = ", which is close" if self.memory > _CLOSE_ABOVE * self.room else ""
        return [
            ("memory", f"about {_gigabytes(self.memory)} of {_gigabytes(self.room)} free{close}"),
            ("time", f"about {_duration(self.seconds)}; {self.step_seconds:.2g} s a step"),
        ]


@dataclasses.dataclass(frozen=True)
class _Memory:
    """Bytes at the peak of a step: a fixed part, and one for each image of the global batch."""

    fixed: float
    image: float

    def at(self, batch: int) -> float:
        return self.fixed + self.image * batch


def measure(run: PreparedRun, model: Network, steps: int) -> Cost | None:
    """Measures what `steps` more steps take.

    No variable and no random number of the run is another for it.

    Args:
      run: from `prepare`.
      model: compiled.
      steps: that are left.

    Returns:
      None where it is surely little, where an accelerator computes or several machines do, and
      where the system does not tell.

    Raises:
      SettingError: there is not enough memory.
    """
    if run.device_type != "CPU" or run.workers.count > 1 or steps < 1:
        return None
    room = memory.room()
    batch = run.config.optimization.train_batch_size
    guess = _guess_bytes(run.config)
    short = guess * run.config.architecture.width_multiplier * _SECONDS_A_BYTE * steps
    if guess < _SMALL_SHARE * room and short < _SHORT_SECONDS:
        return None
    try:
        memory.forget_peak()
    except OSError:
        return None
    needed, seconds = _measure_step(run, model)
    if needed.at(batch) > _REFUSED_ABOVE * room:
        raise _too_much(run, needed, room)
    step_seconds = batch * (seconds + _seconds_of_views(run, model))
    return Cost(round(needed.at(batch)), room, step_seconds, steps * step_seconds)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2g} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    if minutes < 120:
        return f"{minutes} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _guess_bytes(config: Config) -> float:
    """Returns, roughly, the bytes of a step's activations."""
    network = config.architecture
    views = 2 if config.task.pretraining else 1
    pixels = views * config.optimization.train_batch_size * config.data.image_size**2
    stem = 1.0 if network.cifar_stem else 0.1
    return 500 * network.resnet_depth * network.width_multiplier * stem * pixels


def _measure_step(run: PreparedRun, model: Network) -> tuple[_Memory, float]:
    """Returns what steps take, of memory by batch, and of seconds by image."""
    batch, replicas = run.config.optimization.train_batch_size, run.plan.replicas
    sizes: list[int] = []
    peaks: list[float] = []
    with rehearsing(model, run.strategy) as kept:
        for size in _sizes(batch, replicas):
            began = time.perf_counter()
            _step(run, model, size)
            seconds = time.perf_counter() - began
            sizes.append(size)
            peaks.append(memory.peak() - kept)
            if len(sizes) > 1 and (
                peaks[-1] - peaks[-2] > _GROWTH
                or seconds > _LONG_STEP
                or peaks[-1] > memory.room() / 2
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
    results = run.strategy.run(model.train_step, args=(batch,))
    for result in results.values():
        tf.nest.map_structure(lambda x: x.numpy(), run.strategy.experimental_local_results(result))


def _seconds_of_views(run: PreparedRun, model: Network) -> float:
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


def _too_much(run: PreparedRun, needed: _Memory, room: int) -> SettingError:
    asked = run.config
    batch, size = asked.optimization.train_batch_size, run.plan.replicas
    least = 2 if asked.task.pretraining else 1
    while needed.at(2 * size) < _CLOSE_ABOVE * room:
        size *= 2
    remedy = "give a smaller `image_size` or network"
    if size >= least * run.plan.replicas and needed.at(size) < room:
        scaling = asked.optimization.learning_rate_scaling
        root = " with `learning_rate_scaling=sqrt`" * (asked.task.pretraining and scaling != "sqrt")
        remedy = f"give `train_batch_size={size}`{root}, or a smaller `image_size` or network"
    return SettingError(
        "train_batch_size",
        batch,
        f"needs about {_gigabytes(needed.at(batch))}, {_gigabytes(room)} are free",
        remedy,
    )
