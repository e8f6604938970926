"""Which precision a run computes in, where `precision=auto` leaves that to its devices."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Mapping, Sequence

import tensorflow as tf

from simclr_tf.distribution import gpus
from simclr_tf.models.precision import use_precision
from simclr_tf.runs import timing
from simclr_tf.runs.cost import guess_seconds
from simclr_tf.runs.networks import build_network
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.runs.starting import compile_network
from simclr_tf.training.network import Network

_WORTH = 1.1  # times as fast as float32: less is noise, and rounds more
_SHARE = 1 / 20  # of the run's time that may go into measuring
_SHORT_SECONDS = 600.0  # of a run, by a guess that may be wrong by a factor of two
_ROUNDS = 2
_SECONDS = 0.7  # of steps in each round
_STEP_SECONDS = 0.5  # by a guess
_LEAST = 8  # pairs a replica


def choose(run: PreparedRun) -> PreparedRun:
    """Returns the run with a precision, and with what is to be said of it.

    TPUs take bfloat16. Several machines, which have to agree, and runs that are so short that
    measuring would take more than a twentieth of their time, float32. Else a few steps of each
    precision that the devices support are measured; no random number of the run is another for it.

    Args:
      run: from `prepare`; nothing of its network has been made yet.
    """
    if run.config.hardware.precision != "auto":
        return run
    if run.device_type == "TPU":
        return settle(run, "bfloat16", "TPUs compute in it")
    if run.workers.count > 1:
        return settle(run, "float32", "several machines do not measure")
    foreseen = guess_seconds(run.config) * run.plan.train_steps
    if foreseen < _SHORT_SECONDS:
        return settle(run, "float32", "the run is too short to measure others")
    speeds = compare(run, worth=True)
    best = fastest(speeds)
    return settle(run, best, describe(speeds, best))


def supported(run: PreparedRun) -> list[str]:
    """Returns the precisions that the devices of a run compute in, float32 first."""
    if run.device_type == "CPU":
        return ["float32", "bfloat16"]
    capability = gpus.capability()
    found = ["float32", "bfloat16"] if capability >= (8, 0) else ["float32"]
    return [*found, "float16"] if capability >= (7, 0) else found


def compare(run: PreparedRun, *, worth: bool = False) -> dict[str, float]:
    """Measures steps in each precision that the devices support.

    Args:
      run: from `prepare`. Random numbers begin anew.
      worth: whether to stop behind float32 where the run takes too little time.

    Returns:
      Images in a second by precision; of processors' time on CPUs, see `timing.to_compare`.
    """
    names = supported(run)
    batch = run.config.optimization.train_batch_size
    small = _with_short_steps(run)
    size = small.config.optimization.train_batch_size
    models: dict[str, Network] = {}
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    for _ in range(_ROUNDS):  # in turn, so that what else the machine does meets all of them
        for name in names:
            if name not in models:
                models[name] = build(small, name)
            measured = timing.pace_of_noise(small, models[name], seconds=_SECONDS)
            step = timing.to_compare(run, measured)
            seconds[name] = min(step, seconds.get(name, step))
            spent = (time.perf_counter() - began) * len(names)
            left = run.plan.train_steps * measured.step * batch / size
            if worth and len(seconds) == 1 and spent > _SHARE * left:
                names = names[:1]
                break
    del models
    gc.collect()
    start_anew(run)
    return {name: size / step for name, step in seconds.items()}


def fastest(speeds: Mapping[str, float]) -> str:
    """Returns the fastest precision: float32, unless another is clearly faster."""
    best = "float32"
    for name, speed in speeds.items():
        if speed > _WORTH * speeds[best]:
            best = name
    return best


def describe(speeds: Mapping[str, float], chosen: str) -> str:
    """Says how many pairs a precision makes for one of float32."""
    others = [name for name in speeds if name != "float32"]
    if not others:
        return "the run is too short to measure others"
    shown: Sequence[str] = [chosen] if chosen != "float32" else others
    ratios = (f"{name} {speeds[name] / speeds['float32']:.2f} times" for name in shown)
    return f"measured: {', '.join(ratios)} as fast as float32"


def seconds_an_image(run: PreparedRun, model: Network) -> float:
    """Measures steps of the network, with no views to be made. It changes the network."""
    small = _with_short_steps(run)
    step = timing.pace_of_noise(small, model, seconds=_SECONDS).step
    return step / small.config.optimization.train_batch_size


def _with_short_steps(run: PreparedRun) -> PreparedRun:
    """Returns the run with a batch whose steps take half a second or so."""
    if run.device_type != "CPU":  # a small batch would not fill it
        return run
    replicas, batch = run.plan.replicas, run.config.optimization.train_batch_size
    wanted = int(_STEP_SECONDS / guess_seconds(run.config) * batch / replicas) * replicas
    size = min(batch, max(wanted, _LEAST * replicas))
    return dataclasses.replace(run, config=run.config.replace(train_batch_size=size))


def start_anew(run: PreparedRun) -> None:
    """Has the next network begin as if none had been built since the devices were opened."""
    tf.keras.backend.reset_uids()
    tf.keras.utils.set_random_seed(run.config.task.seed)
    precision = run.config.hardware.precision
    use_precision("float32" if precision == "auto" else precision)


def build(run: PreparedRun, precision: str) -> Network:
    """Returns the run's network, compiled, that computes in a precision."""
    use_precision(precision)
    with run.strategy.scope():
        model = build_network(run.config, run.plan.num_classes, run.teacher)
        compile_network(model, run)
    return model


def settle(run: PreparedRun, precision: str, why: str) -> PreparedRun:
    """Returns the run with a precision, in which networks compute from now on."""
    use_precision(precision)
    config = run.config.replace(precision=precision)
    return dataclasses.replace(run, config=config, chosen=f"{precision} ({why})")
