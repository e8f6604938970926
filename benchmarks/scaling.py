"""Bytes that the replicas of a training step send each other, measured, predicted, carried on.

    python benchmarks/scaling.py

Two tables in Markdown:

1. What one replica sends in a step, for several numbers of replicas and batches, beside what a
   gather sends that communicates as the reference release's does. Payloads are read from the graph
   of the training step under MirroredStrategy over logical CPUs, one process for each number of
   replicas, and must equal those that `predict` computes.
2. The formula carried to TPU slices with published interconnect speeds: a prediction, nothing of
   it has been run on hardware.

Without flags it takes the reference's ImageNet setting, ResNet-50 at 224 px; any of this project's
flags change it, such as `--resnet_depth=18 --image_size=32`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("collectives.py")
SETTING = ["--resnet_depth=50", "--image_size=224", "--proj_out_dim=128", "--optimizer=lars"]
FLOAT, INT = 4, 4  # bytes; projections, statistics and gradients travel in float32 in any precision


class Traffic(NamedTuple):
    """What a replica hands to the collectives of one purpose in a step.

    Attributes:
      op: `all_reduce` or `all_gather`.
      messages: the number of collectives.
      payload: bytes, over all of them.
    """

    op: str
    messages: int
    payload: float

    def sent(self, replicas: int) -> float:
        """The bytes that a replica sends where replicas form a ring.

        All-gather: each part is passed on from neighbor to neighbor, R - 1 times, so a replica
        sends R - 1 parts of the payload's size. All-reduce: the payload is cut into R pieces; each
        piece travels R - 1 hops while it is summed and R - 1 more while the sum is handed round, so
        a replica sends 2 (R - 1) pieces. No algorithm sends less (Patarasu and Yuan, Bandwidth
        optimal all-reduce algorithms for clusters of workstations, 2009).
        """
        if self.op == "all_gather":
            return (replicas - 1) * self.payload
        return 2 * (replicas - 1) / replicas * self.payload


class Sizes(NamedTuple):
    """What of a network decides how much it communicates.

    Attributes:
      parameters: trained numbers.
      channels: of each batch normalization that is shared between replicas.
      together: how many of these travel with another: that of a shortcut with the block's last.
      projection: dimension of z.
      metrics: means that training reports.
    """

    parameters: int
    channels: Sequence[int]
    together: int
    projection: int
    metrics: int


def predict(sizes: Sizes, *, batch: int, replicas: int) -> dict[str, Traffic]:
    """Returns what one replica hands over in a training step, by purpose; nothing if alone.

    A replica holds `batch / replicas` pairs. Their two projections go to all others, side by
    side. Each of these then holds a gradient for all projections, which are summed: the
    gather's gradient is an all-reduce of the whole. A batch normalization gathers each
    replica's count and, of every channel, mean and variance, as a sum of rows of which each
    replica fills one; the gradients of the common mean and variance are summed; a shortcut's
    travels with the block's last. The gradients of all weights are one all-reduce. The rest is
    small: how many pairs each replica has, asked for by the loss, by the mean over replicas and
    by the gather's gradient; with that mean goes how many labels; the shape of what is
    gathered; and, in one all-reduce, a sum and a count for each metric.

    Args:
      sizes: of the network.
      batch: pairs over all replicas, which divide it.
      replicas: those that share the batch.
    """
    if replicas == 1:
        return {}
    row = 2 * sizes.projection * FLOAT
    norms, channels = len(sizes.channels) - sizes.together, sum(sizes.channels)
    moments = replicas * (norms + 2 * channels) * FLOAT
    step = {
        "gather, forward": Traffic("all_gather", 1, batch // replicas * row),
        "gather, backward": Traffic("all_reduce", 1, batch * row),
        "batch norm, forward": Traffic("all_reduce", norms, moments),
        "batch norm, backward": Traffic("all_reduce", norms, 2 * channels * FLOAT),
        "gradients": Traffic("all_reduce", 1, sizes.parameters * FLOAT),
        "sizes": Traffic("all_gather", 3 + 1, (3 + 1 + 2) * INT),
        "metrics": Traffic("all_reduce", 1, 2 * sizes.metrics * FLOAT),
        # The reference release sets each view among zeros for the other replicas' and sums these:
        # the payload is R times the replica's own.
        "reference, forward": Traffic("all_reduce", 2, batch * row),
        "reference, backward": Traffic("all_reduce", 2, batch * row),
    }
    return {purpose: traffic for purpose, traffic in step.items() if traffic.messages}


class Chip(NamedTuple):
    """A TPU's published figures.

    Attributes:
      cores: TensorCores of a chip, by which slices are named.
      bandwidth: bytes/s that a chip sends over all of its links to other chips.
      pod: the most cores that these links join.
    """

    cores: int
    bandwidth: float
    pod: int


# cloud.google.com/tpu/docs/v3, v4 and v5e give the all-reduce bandwidth of a pod and its chips;
# v5p gives the bandwidth of a chip in both directions together.
CHIPS = {
    "v3": Chip(2, 340e12 / 1024, 2 * 1024),
    "v4": Chip(2, 1.1e15 / 4096, 2 * 4096),
    "v5e": Chip(1, 51.2e12 / 256, 256),
    "v5p": Chip(2, 1200e9 / 2, 2 * 8960),
}


def milliseconds(payload: float, chip: Chip, cores: int) -> float:
    """Returns how long an all-reduce takes on a slice if nothing but bandwidth counts.

    The cores of a chip share its links and add up before anything leaves the chip, so that chips
    form the ring. Latency comes on top, a few microseconds for each collective.
    """
    traffic = Traffic("all_reduce", 1, payload)
    return 1e3 * traffic.sent(cores // chip.cores) / chip.bandwidth


def measure(
    replicas: int, batches: Sequence[int], flags: Sequence[str] = SETTING
) -> tuple[Sizes, list[dict[str, Traffic]]]:
    """Returns the sizes of the network, and for each batch what a replica hands over by purpose.

    Args:
      replicas: logical CPUs, in a process of their own.
      batches: pairs over all replicas.
      flags: of this project, which choose the network.
    """
    command = [sys.executable, str(SCRIPT), str(replicas), ",".join(map(str, batches)), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    report = json.loads(done.stdout.splitlines()[-1])
    steps = [{name: Traffic(*t) for name, t in step.items()} for step in report["steps"]]
    return Sizes(*report["sizes"]), steps


def main() -> None:
    """Measures, compares with the formula, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--cores", type=int, nargs="+", default=[32, 128, 512])
    args, flags = parser.parse_known_args()

    measured = {}
    for replicas in args.replicas:
        sizes, steps = measure(replicas, args.batches, [*SETTING, *flags])
        for batch, step in zip(args.batches, steps):
            expected = predict(sizes, batch=batch, replicas=replicas)
            if step != expected:
                sys.exit(f"batch {batch}, {replicas} replicas: {step}, predicted {expected}")
            measured[batch, replicas] = step
    print(
        f"{sizes.parameters:,} parameters, {len(sizes.channels)} batch normalizations of "
        f"{sum(sizes.channels):,} channels; the formula gives every figure measured.\n"
    )
    print_measured(measured)
    print_slices(sizes, max(args.batches), args.cores)


def print_measured(measured: dict[tuple[int, int], dict[str, Traffic]]) -> None:
    """Prints bytes sent per step and replica, by purpose, and the number of collectives."""
    both = ("forward", "backward")
    columns = {
        "gradients": ["gradients"],
        "batch norm": [f"batch norm, {way}" for way in both],
        "gather": [f"gather, {way}" for way in both],
        "reference's gather": [f"reference, {way}" for way in both],
        "sizes and metrics": ["sizes", "metrics"],
    }
    print("MB (10^6 bytes) that a replica sends in a step (in so many collectives)\n")
    print_row("batch", "replicas", *columns)
    print_row(*["---"] * (2 + len(columns)))
    for (batch, replicas), step in sorted(measured.items()):
        cells = []
        for purposes in columns.values():
            traffic = [step[purpose] for purpose in purposes if purpose in step]
            megabytes = sum(t.sent(replicas) for t in traffic) / 1e6
            cells.append(f"{megabytes:.3f} ({sum(t.messages for t in traffic)})")
        print_row(f"{batch:,}", replicas, *cells)


def print_slices(sizes: Sizes, batch: int, slices: Sequence[int]) -> None:
    """Prints the milliseconds a step that TPU slices would spend on sending."""
    columns = ["gradients", "batch norm", "gather", "reference's gather"]
    print(f"\nPredicted, not run on hardware: ms a step spent sending, batch {batch:,}\n")
    print_row("TPU", "cores", *columns)
    print_row(*["---"] * (2 + len(columns)))
    for name, chip in CHIPS.items():
        for cores in slices:
            if cores <= chip.pod:
                step = predict(sizes, batch=batch, replicas=cores)
                norms = [step[f"batch norm, {way}"].payload for way in ("forward", "backward")]
                payloads = [
                    step["gradients"].payload,
                    sum(norms),
                    # Both ways. TPUStrategy's all_gather, too, sums the parts among zeros.
                    2 * step["gather, backward"].payload,
                    2 * step["reference, backward"].payload,
                ]
                times = [f"{milliseconds(p, chip, cores):.3f}" for p in payloads]
                print_row(name, cores, *times)


def print_row(*cells: object) -> None:
    """Prints a row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
