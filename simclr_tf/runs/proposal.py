"""A network, a batch and a length that fit into a time that the user names."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from simclr_tf import config as config_lib
from simclr_tf import terminal
from simclr_tf.architecture import CIFAR_STEM_UP_TO
from simclr_tf.config import Config
from simclr_tf.data import ImageDataset, reading
from simclr_tf.errors import SettingError
from simclr_tf.runs import precision, timing
from simclr_tf.runs.cost import guess_seconds
from simclr_tf.runs.estimate import Cost
from simclr_tf.runs.preparation import PreparedRun

# Images of the pictures' own size where that is small; else these, each slower than the one before.
_SMALL = ((18, 0.25), (18, 0.5), (18, 1.0), (34, 1.0), (50, 1.0))
_LADDER = (
    *((64, 18, 0.25), (64, 18, 0.5), (96, 18, 0.5), (96, 18, 1.0), (128, 18, 1.0)),
    *((128, 50, 1.0), (160, 50, 1.0), (224, 50, 1.0)),
)
_SIZED = ("image_size", "resnet_depth", "width_multiplier")
PROPOSED = frozenset((*_SIZED, "train_batch_size", "train_epochs"))
"""Settings that a proposal is of."""

_RECIPE = "laptop"  # for what else a small network needs
_MANY = 20_000  # images, from which on an epoch is longer, and fewer do
_WANTED = {False: 200, True: 100}  # epochs, before a larger network is thought of
_LEAST, _MOST = 10, 1000  # epochs; nothing is learned in fewer, and papers take no more
_FILLED = 0.95  # of the time
_CHECKPOINTS = 20
_OPENED = 16  # pictures


@dataclasses.dataclass(frozen=True)
class Proposal:
    """The run with its network, and what was tried, in words."""

    run: PreparedRun
    tried: str


def choose_network(run: PreparedRun) -> Proposal:
    """Returns the largest network that `plan_hours` leave enough epochs for.

    What is given stays: image size, depth, width, batch and epochs. Few networks are measured: the
    smallest, that which should fit if time went by the work, and those beside it.

    Raises:
      SettingError: nothing can be learned in that time.
    """
    run = run.altered(**_beside(run))
    plan, hours = run.plan, run.config.task.plan_hours
    candidates = list(_candidates(run))
    work = [guess_seconds(run.config.replace(**each)) for each in candidates]
    given = _given_epochs(run)
    wanted = given or _WANTED[plan.train_examples > _MANY]
    budget = 3600 * hours * _FILLED / plan.train_examples  # seconds for an image in all epochs
    measured: dict[int, float] = {}

    def fits(place: int) -> bool:
        if place not in measured:
            measured[place] = _seconds(run.altered(**candidates[place]))
        return measured[place] * wanted <= budget

    if not fits(0) and measured[0] * (given or _LEAST) > budget:
        raise _too_short(run, candidates[0], measured[0] * plan.train_examples, given or _LEAST)
    share = budget / wanted / measured[0] * work[0]
    place = max((i for i, each in enumerate(work) if each <= share), default=0)
    while place and not fits(place):
        place -= 1
    while place + 1 < len(candidates) and place + 1 not in measured and fits(place + 1):
        place += 1
    tried = (f"{_name(candidates[i])} {1 / s:,.3g}" for i, s in sorted(measured.items()))
    return Proposal(run.altered(**candidates[place]), f"pairs/s of {'; '.join(tried)}")


def fill_time(run: PreparedRun, cost: Cost) -> tuple[PreparedRun, Cost]:
    """Returns the run with as many epochs as `plan_hours` hold, and what it then takes."""
    if _given_epochs(run):
        return run, cost
    steps, batch = run.plan.train_steps, run.config.optimization.train_batch_size
    seconds = cost.seconds / steps * run.plan.train_examples / batch  # of an epoch
    epochs = int(3600 * run.config.task.plan_hours * _FILLED / seconds)
    epochs = min(max(epochs, 1), _MOST)
    changes: dict[str, Any] = {"train_epochs": epochs}
    if "warmup_epochs" not in run.asked.given:
        changes["warmup_epochs"] = min(10.0, epochs / 10)
    if not run.asked.given & {"checkpoint_epochs", "checkpoint_steps"}:
        changes["checkpoint_epochs"] = max(1, epochs // _CHECKPOINTS)
    longer = run.altered(**changes)
    return longer, cost.lasting(longer.plan.train_steps / steps)


def _beside(run: PreparedRun) -> dict[str, Any]:
    """Returns what else is not given: batch, optimizer and augmentation as for small networks."""
    given = run.asked.given
    recipe = config_lib.parse([f"--flagfile={_RECIPE}"])
    values, count = recipe.flat(), run.plan.train_examples
    changes = {name: values[name] for name in recipe.given - {*_SIZED, "checkpoint_epochs"}}
    batch = min(128 if count < 5000 else 256, count)
    changes["train_batch_size"] = max(batch // run.plan.replicas, 1) * run.plan.replicas
    if _own_side(run.dataset) <= CIFAR_STEM_UP_TO:
        changes["use_blur"] = False
    if given & {"train_epochs", "train_steps"}:
        del changes["train_epochs"]
    return {name: value for name, value in changes.items() if name not in given}


def _candidates(run: PreparedRun) -> Iterator[dict[str, Any]]:
    """Yields settings of networks, the fastest first, with what is given in all of them."""
    side = _own_side(run.dataset)
    ladder: Any = _LADDER
    if side <= CIFAR_STEM_UP_TO:
        ladder = [(side, *network) for network in _SMALL]
    elif not run.dataset.has_static_size:
        side = _typical_side(run.config, run.dataset)
    given, flat = run.asked.given, run.config.flat()
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in ladder:
        settings = {n: flat[n] if n in given else v for n, v in zip(_SIZED, values)}
        if "image_size" in given or settings["image_size"] <= max(side, ladder[0][0]):
            found.setdefault(tuple(settings.values()), settings)
    by_work = lambda each: guess_seconds(run.config.replace(**each))  # noqa: E731
    yield from sorted(found.values(), key=by_work)


def _own_side(dataset: ImageDataset) -> float:
    """Returns the shorter side of all images, infinity where they vary."""
    return min(math.inf if side is None else side for side in dataset.image_shape[:2])


def _typical_side(config: Config, dataset: ImageDataset) -> int:
    """Returns the median of the shorter sides of a few pictures."""
    split = config.data.train_split
    examples = dataset.load(split, reading.read_examples(dataset, split), replace_bad=True)
    pictures = reading.decode_examples(dataset, examples).take(_OPENED)
    return int(statistics.median(min(each["image"].shape[:2]) for each in pictures))


def _seconds(run: PreparedRun) -> float:
    """Measures the seconds that an image takes, its views included."""
    model = precision.build(run, "float32")
    step = precision.seconds_an_image(run, model)
    views = timing.seconds_of_views(run, model)
    precision.start_anew(run)
    return step + views if run.device_type == "CPU" else max(step, views)


def _given_epochs(run: PreparedRun) -> float:
    """Returns the epochs that were asked for, 0 if none were."""
    length = run.config.optimization
    if "train_steps" in run.asked.given and length.train_steps:
        return length.train_steps * length.train_batch_size / run.plan.train_examples
    return length.train_epochs if "train_epochs" in run.asked.given else 0


def _name(settings: Mapping[str, Any]) -> str:
    size, depth, width = (settings[name] for name in _SIZED)
    return f"ResNet-{depth} of width {width:g} at {size} px"


def _too_short(
    run: PreparedRun, smallest: Mapping[str, Any], epoch: float, epochs: float
) -> SettingError:
    needed = epoch * epochs / _FILLED
    return SettingError(
        "plan_hours",
        f"{run.config.task.plan_hours:g}",
        f"is too short: {_name(smallest)} takes about {terminal.duration(needed)} for "
        f"{epochs:g} epochs of {run.plan.train_examples:,} images",
        f"give `plan_hours={needed / 3600 + 0.005:.2f}`, or fewer images, such as "
        "`train_split=train[:10%]`",
    )
