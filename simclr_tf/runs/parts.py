"""How many pairs a step encodes at a time, where `micro_batch_size=auto` leaves that to memory."""

from __future__ import annotations

import gc

from simclr_tf.errors import SettingError
from simclr_tf.runs import cost, precision
from simclr_tf.runs.preparation import PreparedRun


def choose(run: PreparedRun) -> PreparedRun:
    """Returns the run with the whole batch at a time if that fits, else the most that does.

    Args:
      run: from `precision.choose`; nothing of its network has been made yet.

    Raises:
      SettingError: nothing fits; or memory cannot be measured here.
    """
    if run.config.optimization.micro_batch_size != "auto":
        return run
    if run.workers.count > 1 or run.device_type == "TPU":
        where = "several machines" if run.workers.count > 1 else "TPUs"
        raise SettingError("micro_batch_size", "auto", f"cannot measure {where}", "give a number")
    if run.device_type == "CPU" and cost.is_surely_small(run):
        return run.altered(micro_batch_size=0)
    model = precision.build(run, run.config.hardware.precision)
    try:
        known = cost.foresee(run, model)
    except OSError as error:
        raise SettingError(
            "micro_batch_size", "auto", f"needs Linux, to measure memory ({error})", "give a number"
        ) from None
    del model
    gc.collect()
    precision.start_anew(run)
    room = cost.room_of(run)
    fits = cost.fitting_part(run, known.memory, room)
    if not fits:
        raise cost.too_much(run, known.memory, room)
    whole = fits == run.config.optimization.train_batch_size
    return run.altered(micro_batch_size=0 if whole else fits)
