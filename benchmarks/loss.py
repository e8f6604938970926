"""NT-Xent forward and backward: seconds and extra memory, beside peers and bare matrix products.

    python benchmarks/loss.py --reference_checkout=DIR --lightly_python=PYTHON --pairs 8192 65536

Contenders take turns, each in a process of its own, on the same vectors of 128 dimensions at
temperature 0.1; the fastest of three calls counts. Extra memory is the highest resident memory
while they run less that before the first one. A peer that is not there is left out, and said so.
The products are those that the tiles need, in tiles of the same size, with nothing between them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np  # noqa: E402

from benchmarks import peers  # noqa: E402

DIM, TEMPERATURE, TILE = 128, 0.1, 1024
Step = Callable[[np.ndarray], float]
"""Takes float32 [2 * pairs, DIM], computes the loss and its gradient, and returns the loss."""


def simclr_tf() -> Step:
    """This project."""
    from simclr_tf import compat

    compat.import_tensorflow()
    from simclr_tf.losses import nt_xent

    return _with_gradient(lambda hidden: nt_xent(hidden, temperature=TEMPERATURE).loss)


def reference() -> Step:
    """The reference release, from the checkout in $REFERENCE_CHECKOUT."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    sys.path.insert(0, os.path.join(os.environ["REFERENCE_CHECKOUT"], "tf2"))
    import objective

    sys.argv = arguments
    return _with_gradient(
        lambda hidden: objective.add_contrastive_loss(hidden, temperature=TEMPERATURE)[0]
    )


def products() -> Step:
    """Two products a tile: half of a symmetric matrix twice, and two for the gradient of a half."""
    import tensorflow as tf

    @tf.function
    def multiply(hidden: tf.Tensor) -> tf.Tensor:
        tiles = tf.reshape(hidden, [-1, TILE, DIM])
        count = tf.shape(tiles)[0]

        def step(a: tf.Tensor, b: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, ...]:
            for _ in range(2):
                logits = tf.matmul(tiles[a], tiles[b], transpose_b=True)
                total += logits[0, 0]
            total += tf.matmul(logits, tiles[b])[0, 0]
            total += tf.matmul(logits, tiles[a], transpose_a=True)[0, 0]
            ends = tf.equal(b + 1, count)
            a = tf.where(ends, a + 1, a)
            return a, tf.where(ends, a, b + 1), total

        return tf.while_loop(lambda a, *_: a < count, step, (0, 0, 0.0), parallel_iterations=1)[2]

    return lambda hidden: float(multiply(hidden))


def lightly() -> Step:
    """Lightly's NTXentLoss in PyTorch."""
    import torch
    from lightly.loss import NTXentLoss

    torch.set_num_threads(os.cpu_count() or 1)
    criterion = NTXentLoss(TEMPERATURE)

    def step(hidden: np.ndarray) -> float:
        z = torch.tensor(hidden, requires_grad=True)
        loss = criterion(*z.split(len(z) // 2))
        loss.backward()
        return loss.item()

    return step


def _with_gradient(loss_of: Callable) -> Step:
    import tensorflow as tf

    @tf.function
    def run(hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            loss = loss_of(hidden)
        return loss, tape.gradient(loss, hidden)

    return lambda hidden: float(run(hidden)[0])


CONTENDERS = {f.__name__: f for f in (simclr_tf, products, reference, lightly)}


def measure(name: str, pairs: int) -> dict[str, float]:
    """Times a contender in this process."""
    step = CONTENDERS[name]()
    hidden = np.random.default_rng(0).normal(size=(2 * pairs, DIM)).astype(np.float32)
    step(hidden[: 2 * TILE])  # libraries are loaded, threads started
    before = peak = _resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        step(hidden)
        seconds.append(time.perf_counter() - begin)
    done.set()
    watcher.join()
    return {"seconds": min(seconds), "extra_gib": (peak - before) / 2**30}


def _resident() -> int:
    """Returns the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Times what there is and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peers.add_arguments(parser)
    add = parser.add_argument
    add("--pairs", type=int, nargs="+", default=[8192])
    add("--contender", choices=CONTENDERS, help="time this one in this process, print JSON")
    args = parser.parse_args()
    if args.contender:
        print(json.dumps(measure(args.contender, args.pairs[0])))
        return
    found, environment = peers.find(args)
    pythons = {"simclr_tf": sys.executable, "products": sys.executable, **found}
    for pairs in args.pairs:
        print(f"{pairs:,} pairs")
        for name, python in pythons.items():
            command = [python, __file__, f"--contender={name}", "--pairs", str(pairs)]
            ended = subprocess.run(command, capture_output=True, text=True, env=environment)
            if ended.returncode:
                reason = (ended.stderr.strip().splitlines() or ["killed"])[-1]
                print(f"  {name:<10} does not run: {reason}")
                continue
            found = json.loads(ended.stdout.splitlines()[-1])
            print(f"  {name:<10} {found['seconds']:8.2f} s   {found['extra_gib']:6.2f} GiB extra")


if __name__ == "__main__":
    main()
