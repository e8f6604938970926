"""Large batches: pairs/s and memory of a step against its batch, in parts and at once.

    python benchmarks/large_batch.py --reference_checkout=DIR --lightly_python=PYTHON

ResNet-18 with the small stem, 32 px, float32, LARS, no probe. In parts (`--micro_batch_size`),
bytes come in and each part's views are made in the step, twice; whoever takes a batch at once gets
floats that are made already. Every row is a process of its own; rows take turns, and the median of
rounds counts. Memory is the most that a process has held, on a GPU what TensorFlow or PyTorch has
allocated there. Processor time says what a step takes where other programs use the machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import peers  # noqa: E402

SIZE, TEMPERATURE, RATE = 32, 0.1, 0.1
Step = Callable[[], float]


class Row(NamedTuple):
    """Who takes which steps.

    Attributes:
      name: of the contender.
      batch: pairs of a step.
      micro_batch_size: pairs at a time, 0 for all.
    """

    name: str
    batch: int
    micro_batch_size: int


def simclr_tf(row: Row) -> tuple[Step, Callable[[], int]]:
    """This project."""
    from simclr_tf import compat

    compat.import_tensorflow()
    import tensorflow as tf

    from simclr_tf import LARS, Architecture, SimCLR, SimCLRViews

    architecture = Architecture(resnet_depth=18, cifar_stem=True)
    views = SimCLRViews(SIZE, color_jitter_strength=0.5, use_blur=False)
    model = SimCLR(
        architecture, views=views, temperature=TEMPERATURE, micro_batch_size=row.micro_batch_size
    )
    model.compile(LARS(RATE))
    if row.micro_batch_size:
        images = tf.random.stateless_uniform([row.batch, SIZE, SIZE, 3], [0, 0], 0, 256, tf.int32)
        batch = {"images": tf.cast(images, tf.uint8)}
    else:
        batch = {"views": tf.random.stateless_uniform([row.batch, 2, SIZE, SIZE, 3], [0, 0])}
    step = tf.function(model.train_step)
    return lambda: float(step(batch)["total_loss"]), _tensorflow_memory


def reference(row: Row) -> tuple[Step, Callable[[], int]]:
    """The reference release, from the checkout in $REFERENCE_CHECKOUT."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    sys.path.insert(0, os.path.join(os.environ["REFERENCE_CHECKOUT"], "tf2"))
    import model as model_lib
    import objective
    import run
    import tensorflow as tf

    sys.argv = arguments
    run.FLAGS([
        "run", "--resnet_depth=18", f"--image_size={SIZE}", "--use_blur=False",
        "--optimizer=lars", "--lineareval_while_pretraining=False",
    ])  # fmt: skip
    model, optimizer = model_lib.Model(10), model_lib.build_optimizer(RATE)
    images = tf.random.stateless_uniform([row.batch, SIZE, SIZE, 6], [0, 0])

    @tf.function
    def step(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs, _ = model(images, training=True)
            loss, _, _ = objective.add_contrastive_loss(outputs, True, TEMPERATURE)
            loss += model_lib.add_weight_decay(model)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return lambda: float(step(images)), _tensorflow_memory


def lightly(row: Row) -> tuple[Step, Callable[[], int]]:
    """Lightly's parts put together in PyTorch as its guide of SimCLR does."""
    import torch
    import torchvision
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.utils.lars import LARS

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(os.cpu_count() or 1)
    encoder = torchvision.models.resnet18()
    encoder.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    encoder.maxpool = encoder.fc = torch.nn.Identity()
    head = SimCLRProjectionHead(512, 512, 128, num_layers=3)  # as many as SimCLRv2's
    model = torch.nn.Sequential(encoder, head).to(device)
    optimizer, criterion = LARS(model.parameters(), lr=RATE), NTXentLoss(TEMPERATURE)
    views = torch.rand((2 * row.batch, 3, SIZE, SIZE), device=device)

    def step() -> float:
        loss = criterion(*model(views).split(row.batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    on_gpu = torch.cuda.is_available()
    return step, torch.cuda.max_memory_allocated if on_gpu else _resident


CONTENDERS = {f.__name__: f for f in (simclr_tf, reference, lightly)}


def _tensorflow_memory() -> int:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return _resident()


def _resident() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def take_steps(row: Row, steps: int) -> dict[str, float]:
    """Returns the seconds and processor seconds of a step, and the memory of it all."""
    step, memory = CONTENDERS[row.name](row)
    step()  # traces
    begin, used = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return {
        "seconds": (time.perf_counter() - begin) / steps,
        "processor": (time.process_time() - used) / steps,
        "memory": memory(),
    }


def print_table(rows: dict[Row, list[dict[str, float]]], base: Row) -> None:
    """Prints medians; times of a pair as ratios to those of `base` in the same round."""

    def per_pair(row: Row, key: str) -> float:
        pairs = zip(rows[row], rows[base])
        return statistics.median(
            found[key] / row.batch / (ours[key] / base.batch) for found, ours in pairs
        )

    print("| | batch | at a time | pairs/s | time a pair | processor time a pair | GiB |")
    print("|---|---|---|---|---|---|---|")
    for row, found in rows.items():
        pairs = row.batch / statistics.median(f["seconds"] for f in found)
        memory = max(f["memory"] for f in found) / 2**30
        times = [f"{per_pair(row, key):.2f}" for key in ("seconds", "processor")]
        at_a_time = f"{row.micro_batch_size or row.batch:,}"
        cells = [row.name, f"{row.batch:,}", at_a_time, f"{pairs:.1f}", *times, f"{memory:.2f}"]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Times what there is and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peers.add_arguments(parser)
    add = parser.add_argument
    add("--micro_batch_size", type=int, default=128)
    add("--batches", type=int, nargs="*", default=[512, 2048, 4096, 8192], help="in parts")
    add("--at_once", type=int, nargs="*", default=[512], help="beside --micro_batch_size")
    add("--steps", type=int, default=1)
    add("--rounds", type=int, default=3)
    add("--row", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        name, *sizes = args.row
        print(json.dumps(take_steps(Row(name, *map(int, sizes)), args.steps)))
        return
    others, environment = peers.find(args)
    micro = args.micro_batch_size
    pythons = {"simclr_tf": sys.executable, **others}
    rows = [Row(name, size, 0) for size in (micro, *args.at_once) for name in pythons]
    rows += [Row("simclr_tf", batch, micro) for batch in args.batches]
    found: dict[Row, list[dict[str, Any]]] = {row: [] for row in rows}
    for _ in range(args.rounds):
        for row in rows:
            command = [pythons[row.name], __file__, "--row", *map(str, row)]
            command.append(f"--steps={args.steps}")
            printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            found[row].append(json.loads(printed.stdout.splitlines()[-1]))
    print_table(found, rows[0])


if __name__ == "__main__":
    main()
