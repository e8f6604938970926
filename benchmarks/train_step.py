"""Training steps of SimCLR, side by side: ours bare, ours through `model.fit`, and the peers'.

    python benchmarks/train_step.py --reference_checkout=DIR --lightly_python=PYTHON

Contenders live side by side, each in a process of its own, and take turns; a turn lasts a step, or
half a second where steps are shorter. Views are made beforehand: nothing but the step is timed.
float32, LARS, no probe. `fit` is the loop of a real run, with all of its callbacks. The ratio is
the median over rounds of a contender's seconds to those of ours; processor seconds say what a step
takes where other programs use the machine too. A peer that is not there is left out, and said so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # contenders share the device
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import peers  # noqa: E402

TEMPERATURE, WEIGHT_DECAY, RATE = 0.1, 1e-6, 0.1
TURN = 0.5
Turn = Callable[[], None]
"""Takes part in the game: waits for its turn, ends it, and so on; see `Turns`."""


class Case(NamedTuple):
    """A network, the size of its images, and how many pairs of views a step has."""

    depth: int
    size: int
    pairs: int


class Turns:
    """What a contender calls after each step: it gives the turn away when it is over."""

    def __init__(self) -> None:
        self._steps = 2 + 1  # until all is compiled; the last of these says how long one takes
        self._left = self._steps
        self._calibrated = False
        self._begin()

    def _begin(self) -> None:
        self._began, self._used = time.perf_counter(), _processor()

    def step_ends(self, steps: int = 1) -> None:
        """Counts steps; blocks until the next turn where this one is over."""
        self._left -= steps
        if not self._calibrated and self._left == 1:
            self._begin()
        if self._left > 0:
            return
        seconds, used = time.perf_counter() - self._began, _processor() - self._used
        taken = self._steps if self._calibrated else 1
        found = {"seconds": seconds / taken, "processor": used / taken}
        print(json.dumps(found), flush=True)
        if not self._calibrated:
            self._steps, self._calibrated = max(1, round(TURN / seconds)), True
        if not sys.stdin.readline():
            os._exit(0)
        self._left = self._steps
        self._begin()


def simclr_tf(case: Case) -> None:
    """This project's step, compiled and called in a loop."""
    import tensorflow as tf

    _, model, _ = _our_run(case)
    views = _views(case)

    @tf.function(jit_compile=bool(model.jit_compile))
    def step(views: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.train_step({"views": views})

    turns = Turns()
    while True:
        float(step(views)["total_loss"])
        turns.step_ends()


def fit(case: Case) -> None:
    """The same step as a run takes it."""
    import tensorflow as tf

    from simclr_tf.runs.training import make_callbacks

    run, model, start = _our_run(case)
    turns = Turns()

    class Last(tf.keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self._supports_tf_logs = True
            self._seen = -1

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            turns.step_ends(batch - self._seen)
            self._seen = batch

    one = tf.data.Dataset.from_tensors({"views": _views(case)})
    callbacks = [callback for callback in make_callbacks(run, model, start, None) if callback]
    callbacks.append(Last())
    steps = run.plan.train_steps
    with contextlib.redirect_stderr(io.StringIO()):  # progress is shown, to nobody
        model.fit(one.repeat(), steps_per_epoch=steps, verbose=0, callbacks=callbacks)


def reference(case: Case) -> None:
    """The reference release, from the checkout in $REFERENCE_CHECKOUT."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    sys.path.insert(0, os.path.join(os.environ["REFERENCE_CHECKOUT"], "tf2"))
    import model as model_lib
    import objective
    import run
    import tensorflow as tf

    sys.argv = arguments
    run.FLAGS([
        "run", f"--resnet_depth={case.depth}", f"--image_size={case.size}", "--use_blur=False",
        f"--weight_decay={WEIGHT_DECAY}", "--optimizer=lars",
        "--lineareval_while_pretraining=False",
    ])  # fmt: skip
    model = model_lib.Model(10)
    optimizer = model_lib.build_optimizer(RATE)
    names = ["loss", "acc", "entropy"]
    means = [tf.keras.metrics.Mean(name) for name in names]
    mean_loss = tf.keras.metrics.Mean("total_loss")

    import metrics

    @tf.function
    def step(images: tf.Tensor) -> tf.Tensor:  # run.py: single_step
        with tf.GradientTape() as tape:
            outputs, _ = model(images, training=True)
            loss, logits, labels = objective.add_contrastive_loss(outputs, True, TEMPERATURE)
            metrics.update_pretrain_metrics_train(
                means[0], means[1], means[2], loss, logits, labels
            )
            loss += model_lib.add_weight_decay(model)
            mean_loss.update_state(loss)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    views = _views(case)
    images = tf.concat([views[:, 0], views[:, 1]], axis=-1)
    turns = Turns()
    while True:
        float(step(images))
        turns.step_ends()


def lightly(case: Case) -> None:
    """Lightly's parts put together in PyTorch as its guide of SimCLR does."""
    import torch
    import torchvision
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.utils.lars import LARS

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(os.cpu_count() or 1)
    encoder = getattr(torchvision.models, f"resnet{case.depth}")()
    if case.size <= 32:
        encoder.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        encoder.maxpool = torch.nn.Identity()
    width = encoder.fc.in_features
    encoder.fc = torch.nn.Identity()
    head = SimCLRProjectionHead(width, width, 128, num_layers=3)  # as many as SimCLRv2's
    model = torch.nn.Sequential(encoder, head).to(device)
    optimizer = LARS(model.parameters(), lr=RATE, momentum=0.9, weight_decay=WEIGHT_DECAY)
    criterion = NTXentLoss(TEMPERATURE)
    shape = (2 * case.pairs, 3, case.size, case.size)
    views = torch.rand(shape, device=device)
    turns = Turns()
    while True:
        loss = criterion(*model(views).split(case.pairs))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        turns.step_ends()


CONTENDERS = {f.__name__: f for f in (simclr_tf, fit, reference, lightly)}


def _our_run(case: Case) -> tuple[Any, Any, Any]:
    """Returns a run, its compiled network and where it starts, as `pretrain` makes them."""
    from simclr_tf import compat

    compat.import_tensorflow()
    from simclr_tf.config import parse
    from simclr_tf.runs import starting
    from simclr_tf.runs.networks import build_simclr
    from simclr_tf.runs.preparation import prepare

    folder = tempfile.mkdtemp()
    config = parse([
        f"--model_dir={folder}/run", f"--data_dir={folder}/data", "--dataset=digits",
        f"--resnet_depth={case.depth}", f"--image_size={case.size}",
        f"--train_batch_size={case.pairs}", "--train_steps=1000000", "--checkpoint_steps=100000",
        f"--temperature={TEMPERATURE}", f"--weight_decay={WEIGHT_DECAY}", "--optimizer=lars",
        f"--learning_rate={RATE}", "--nolineareval_while_pretraining",
    ])  # fmt: skip
    run = prepare(config, None)
    with run.strategy.scope():
        model = build_simclr(run.config, None)
        starting.compile_network(model, run)
    return run, model, starting.find_start(run, model, None, None)


def _views(case: Case) -> Any:
    import tensorflow as tf

    return tf.random.stateless_uniform([case.pairs, 2, case.size, case.size, 3], [0, 0])


def _processor() -> float:
    """Returns the processor seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compare(
    case: Case, rounds: int, pythons: dict[str, str], environment: dict[str, str]
) -> dict[str, list[dict[str, float]]]:
    """Lets contenders take turns; returns what each measured, a row a round."""
    playing, found = {}, {}
    for name, python in pythons.items():
        command = [python, __file__, f"--contender={name}", "--case", *map(str, case)]
        playing[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if _heard(playing[name]) is None:
            print(f"  {name} does not run")
            playing.pop(name).wait()
    for _ in range(rounds):
        for name, process in playing.items():
            process.stdin.write("\n")
            process.stdin.flush()
            found.setdefault(name, []).append(_heard(process))
    for process in playing.values():
        process.stdin.close()
        process.wait()
    return found


def _heard(process: subprocess.Popen) -> dict[str, float] | None:
    """Returns the next measurement of a contender, None if it has ended."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    return None


def print_table(case: Case, found: dict[str, list[dict[str, float]]]) -> None:
    """Prints medians, and ratios to ours."""
    print(f"ResNet-{case.depth}, {case.size} px, {case.pairs} pairs\n")
    print("| | pairs/s | time, ours is 1 | processor time, ours is 1 |\n|---|---|---|---|")
    ours = found["simclr_tf"]
    for name, rows in found.items():
        pairs = case.pairs / statistics.median(row["seconds"] for row in rows)
        ratios = [
            statistics.median(a[key] / b[key] for a, b in zip(rows, ours))
            for key in ("seconds", "processor")
        ]
        print(f"| {name} | {pairs:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)
    print()


def main() -> None:
    """Times what there is and prints a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peers.add_arguments(parser)
    add = parser.add_argument
    add("--case", type=int, nargs=3, metavar=("DEPTH", "SIZE", "PAIRS"), help="this one only")
    add("--rounds", type=int, default=9)
    add("--contender", choices=CONTENDERS, help="be this one, in this process")
    args = parser.parse_args()
    if args.contender:
        CONTENDERS[args.contender](Case(*args.case))
    others, environment = peers.find(args)
    pythons = {"simclr_tf": sys.executable, "fit": sys.executable, **others}
    for case in [Case(*args.case)] if args.case else [Case(18, 32, 128), Case(50, 96, 32)]:
        print_table(case, compare(case, args.rounds, pythons, environment))


if __name__ == "__main__":
    main()
