"""What `runs.cost` foresees of a step, and what the step then takes, as one line of JSON.

For a process of its own: memory that earlier work has freed would be taken again, and no peak rise.
"""

from __future__ import annotations

import json

from simclr_tf import memory
from simclr_tf.config import parse
from simclr_tf.runs import cost, networks, preparation, starting
from simclr_tf.training.rehearsal import rehearsing
from tests.conftest import TINY

SMALL = (32, 64)
BATCH = 256


def main() -> None:
    flags = ["--image_size=32", "--width_multiplier=0.25", f"--train_batch_size={BATCH}"]
    run = preparation.prepare(parse([*TINY, *flags]), None)
    with run.strategy.scope():
        model = networks.build_simclr(run.config, run.plan.num_classes)
        starting.compile_network(model, run)
    cost._sizes = lambda batch, replicas: iter(SMALL)
    memory.forget_peak()
    foreseen, seconds = cost._measure_step(run, model, BATCH)
    with rehearsing(model, run.strategy):
        small = memory.peak()
        cost._step(run, model, BATCH)
        large = memory.peak()
    report = {"image": foreseen.image, "whole": foreseen.at(BATCH), "seconds": seconds}
    print(json.dumps({**report, "small": small, "large": large}))
