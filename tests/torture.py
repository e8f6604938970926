"""Kills runs at random moments, and checks that nothing is lost: `make torture`.

A run prepares its data, trains, saves, exports and evaluates. It is killed by `kill -9` at a random
moment of one of these, and started again with the same command, over and over. After each kill, if
there was a checkpoint, there is one that loads; at its end each run has the weights of one that
nobody disturbed, bit for bit, its SavedModel and its accuracy.

    python -m tests.torture --kills=50 --seed=0
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import random
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simclr_tf.checkpoints import numbered
from simclr_tf.checkpoints.reader import check_whole
from simclr_tf.errors import UserError
from tests import processes
from tests.conftest import TINY

STEPS = 20
FLAGS = [*TINY, "--mode=train_then_eval", f"--train_steps={STEPS}", "--checkpoint_steps=2"]
FLAGS += ["--keep_checkpoint_max=2"]
_SECONDS_A_RUN = 180


@dataclasses.dataclass(frozen=True)
class Place:
    """The folders of a run.

    Attributes:
      root: of them.
    """

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def start(self) -> processes.Process:
        flags = [*FLAGS, f"--model_dir={self.run}", f"--data_dir={self.data}"]
        return processes.start(*flags)

    def holds(self, pattern: str) -> bool:
        """Says whether a name in the run's folder matches a regular expression."""
        return self.run.is_dir() and any(
            re.match(pattern, path.name) for path in self.run.iterdir()
        )


# What a run does -> by what it is seen to have begun, and how many seconds it takes at most.
PHASES: dict[str, tuple[Callable[[Place], bool], float]] = {
    "preparing data": (lambda place: place.data.exists(), 1.0),
    "training": (lambda place: place.holds("plan"), 3.0),
    "saving": (lambda place: place.holds(r"ckpt-\d+\.[0-9a-f]{32}"), 0.01),
    "exporting": (lambda place: place.holds(rf"ckpt-{STEPS}\.index"), 2.0),
    "evaluating": (lambda place: (place.run / "saved_model" / str(STEPS)).exists(), 1.0),
}


def torture(folder: Path, kills: int, seed: int, phases: list[str]) -> collections.Counter[str]:
    """Kills runs in `folder` so many times, at moments drawn from `seed`.

    Returns:
      How many kills there were in each phase, how many "restarts", and how many "runs" ended.

    Raises:
      AssertionError: something was lost.
    """
    drawn = random.Random(seed)
    whole = Place(folder / "whole")
    process = whole.start()
    printed = process.communicate()
    assert process.returncode == 0, printed
    expected = outcome(whole)
    counts: collections.Counter[str] = collections.Counter()
    while sum(counts[phase] for phase in phases) < kills:
        place = Place(folder / f"run_{counts['runs']}")
        for phase in drawn.sample(phases, drawn.randint(1, min(4, len(phases)))):
            if sum(counts[phase] for phase in phases) < kills:
                counts[phase] += kill(place, phase, drawn)
                check_loadable(place)
        process = place.start()
        printed = process.communicate()
        assert process.returncode == 0, f"restarted, it ends with {process.returncode}: {printed}"
        compare(outcome(place), expected)
        counts["runs"] += 1
    return counts


def kill(place: Place, phase: str, drawn: random.Random) -> bool:
    """Starts the run, and kills it in the phase; False if it had ended, or never came there."""
    begun, seconds = PHASES[phase]
    process = place.start()
    end = time.monotonic() + _SECONDS_A_RUN
    while process.returncode is None and not begun(place):
        assert time.monotonic() < end, f"no sign of {phase}"
        time.sleep(0.001)
    time.sleep(drawn.uniform(0, seconds))
    if process.returncode is not None:
        assert process.returncode == 0, process.communicate()
        return False
    process.kill()
    process.communicate()
    return True


def check_loadable(place: Place) -> None:
    """Fails where there are checkpoints, but none that can be read."""
    steps = numbered.list_steps(str(place.run))
    problems = []
    for step in steps:
        try:
            check_whole(numbered.prefix_of(str(place.run), step))
        except UserError as error:
            problems.append(str(error))
    assert not steps or len(problems) < len(steps), problems


def outcome(place: Place) -> dict[str, np.ndarray]:
    """Returns what a run has come to: weights, optimizer, step, accuracy and exported weights."""
    result = json.loads((place.run / "result.json").read_text())
    described = place.run / "saved_model" / str(STEPS) / "assets.extra" / "simclr.json"
    exported = json.loads(described.read_text())["weights_sha256"]
    return {
        **processes.weights(place.run, f"ckpt-{STEPS}"),
        "accuracy": np.array(result["eval/label_top_1_accuracy"]),
        "exported": np.array(exported),
    }


def compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Fails unless all values are the same, bit for bit."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = torture(Path(folder), asked.kills, asked.seed, list(PHASES))
    processes.close_nursery()
    shown = ", ".join(f"{counts[phase]} {phase}" for phase in PHASES)
    print(
        f"killed {sum(counts[phase] for phase in PHASES)} times ({shown}) in {counts['runs']} runs"
    )
    print(f"all ended with the undisturbed run's weights; {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
