"""What a run would take on this machine, before it is begun; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator

from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.runs import cost, precision, proposal, timing
from simclr_tf.runs.batches import augments_on_device
from simclr_tf.runs.command_line import command_line
from simclr_tf.runs.estimate import Cost, gigabytes
from simclr_tf.runs.initial_weights import open_initial_weights
from simclr_tf.runs.plan import largest_part
from simclr_tf.runs.preparation import PreparedRun, prepare
from simclr_tf.runs.start_screen import describe, rows_of
from simclr_tf.runs.teacher import open_teacher
from simclr_tf.training.network import Network

_MOST = 65_536  # images of a batch that are thought of
_WORTH = 1.05  # times as fast, from which on views are made elsewhere than usual

Rows = list[tuple[str, str]]


def plan(config: Config) -> Cost:
    """Tries machine and network, prints what the run would take, and a command that starts it.

    What is given is kept, but for a batch that does not fit: it is encoded in parts. What is not
    becomes what is fastest here: precision, and the place where views are made. With `plan_hours`,
    network, batch and epochs become what ends in time.

    Returns:
      What the printed command takes.

    Raises:
      UserError: bad input; no batch fits; or nothing can be learned in the time.
    """
    config, weights = open_initial_weights(config)
    config, teacher = open_teacher(config)
    prepared = run = prepare(config, weights, teacher)
    if run.workers.count > 1:
        raise SettingError("mode", "plan", "measures one machine", "unset TF_CONFIG")
    more: Rows = []
    with run.dataset.report_bad_images(""):
        if config.task.plan_hours:
            proposed = proposal.choose_network(run)
            run = proposed.run
            more.append(("tried", proposed.tried))
        run = _choose_precision(run)
        model = precision.build(run, run.config.hardware.precision)
        run, known = _fit_batch(run, model, more)
        if run.config.optimization.in_parts:
            model = precision.build(run, run.config.hardware.precision)
        run, measured = _choose_place(run, model, known, more)
        if config.task.plan_hours:
            run, measured = proposal.fill_time(run, measured)
    more += _on_disk(run, model)
    print(describe([*rows_of(run, model, measured), *more]))
    print(f"  {'next':<11}train:\n{_command(prepared, run)}", flush=True)
    return measured


def _choose_precision(run: PreparedRun) -> PreparedRun:
    """Measures all that the devices support, and takes the fastest if none is given."""
    asked = run.config.hardware.precision
    speeds = precision.compare(run)
    best = precision.fastest(speeds)
    if "precision" in run.asked.given and asked != "auto":
        best = asked
    return precision.settle(run, best, precision.describe(speeds, best))


def _fit_batch(run: PreparedRun, model: Network, more: Rows) -> tuple[PreparedRun, cost.StepCost]:
    """Measures what steps take; a batch that does not fit is encoded in parts, or made smaller."""
    replicas, asked = run.plan.replicas, run.config.optimization.train_batch_size
    examples = run.plan.train_examples // replicas * replicas
    try:
        known = cost.foresee(run, model, min(examples, _MOST))
    except OSError as error:
        raise SettingError("mode", "plan", f"needs Linux, to measure memory ({error})") from None
    room = cost.room_of(run)
    largest = min(known.memory.largest(room, replicas), examples, _MOST // replicas * replicas)
    needs = gigabytes(known.memory.at(largest))
    said = f"{largest:,} images are the largest that fits: about {needs} of {gigabytes(room)}"
    at_a_time = run.config.optimization.pairs_at_a_time
    if largest and known.memory.at(at_a_time) > room:
        said += f"; {at_a_time:,} would need {gigabytes(known.memory.at(at_a_time))}"
        part = largest_part(asked, largest, replicas) if run.config.task.pretraining else 0
        if part > 1:
            run = run.altered(micro_batch_size=part)
        else:
            run = run.altered(train_batch_size=largest)
    more.append(("batch", said))
    return run, known


def _choose_place(
    run: PreparedRun, model: Network, known: cost.StepCost, more: Rows
) -> tuple[PreparedRun, Cost]:
    """Measures the run, with views made where they usually are, and elsewhere if that is open."""
    steps = run.plan.train_steps
    measured = cost.measure(run, model, steps, known=known)
    assert measured is not None  # it is asked for
    usual = _place(run)
    place = _WHERE[usual]
    said = f"made {place}"
    chosen = run.config.augmentation.augment_on != "auto" or run.config.optimization.in_parts
    if not chosen and measured.pace is not None:
        there = run.altered(augment_on="host" if usual == "device" else "device")
        other = cost.measure(there, model, steps, known=known)
        assert other is not None
        assert other.pace is not None
        times = measured.pace.compared / other.pace.compared
        elsewhere = _WHERE[_place(there)]
        said += f"; {elsewhere} it would be {times:.2f} times as fast"
        if times > _WORTH:
            run, measured = there, other
            said = f"made {elsewhere}, {times:.2f} times as fast as {place}"
    more.append(("views", said))
    return run, measured


_WHERE = {"host": "in the input pipeline", "device": "in the training step"}


def _place(run: PreparedRun) -> str:
    return "device" if augments_on_device(run) else "host"


def _on_disk(run: PreparedRun, model: Network) -> Iterator[tuple[str, str]]:
    """Yields what checkpoints take."""
    size, _ = timing.of_checkpoint(model)
    every, kept = run.plan.checkpoint_steps, run.config.files.keep_checkpoint_max
    written = -(-run.plan.train_steps // every)
    kept = min(kept or written, written)
    yield (
        "on disk",
        f"{gigabytes(kept * size)}: {kept} checkpoints of {gigabytes(size)}, one every "
        f"{every:,} steps",
    )


def _command(prepared: PreparedRun, run: PreparedRun) -> str:
    """Returns the command of the run: what was given, and what became of the rest."""
    before, after = prepared.config.flat(), run.config.flat()
    named = run.asked.given | (proposal.PROPOSED if run.config.task.plan_hours else frozenset())
    names = [n for n in after if n in named or after[n] != before[n]]
    return command_line({n: after[n] for n in names if n not in ("mode", "plan_hours")})
