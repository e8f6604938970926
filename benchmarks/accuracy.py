"""CIFAR-10: what features are worth after equal minutes, ours and lightly's.

    python benchmarks/accuracy.py --data_dir=DIR --lightly_python=PYTHON --seeds 0 1

Ours is `flags/cifar10_cpu.flags`. As long as that took, from the command to its end, lightly's
SimCLR may train the same network: once with the settings of its own CIFAR-10 benchmark, once with
ours. Features of all are measured by this project's code: kNN and logistic regression, on the
10,000 test images. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
import numpy as np  # noqa: E402

from benchmarks import peers  # noqa: E402

RECIPE = "flags/cifar10_cpu.flags"
FEATURE_SIZE = 24
SHARES = (0.001, 0.01, 0.1, 1.0)
LIGHTLY = {
    "lightly, its settings": ["--feature_sizes", "32"],
    # Those of the recipe, and views and features of its sizes.
    "lightly, our settings": [
        *("--size", "16", "--feature_sizes", str(FEATURE_SIZE), "--batch", "128"),
        *("--rate", "0.2", "--decay", "1e-4", "--temperature", "0.2", "--output", "64"),
        *("--warm_up", "0.023", "--smallest_crop", "0.2"),
    ],
}
Features = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Runs all contenders one after another, and prints a row of each when it is done."""
    args = _parse()
    pythons, environment = peers.find(args)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(args.folder or kept)
        folder.mkdir(parents=True, exist_ok=True)
        labels = write_images(folder / "images.npz", args.data_dir)
        shares = " | ".join(f"{share:.1%} of labels" for share in SHARES)
        print(f"| features | seed | epochs | minutes | kNN (k 200, T 0.1) | {shares} |", flush=True)
        for seed in args.seeds:
            epochs, seconds, features = ours(folder / f"ours_{seed}", args, seed)
            _print("simclr_tf", seed, epochs, seconds, measure(features, labels))
            for name, settings in LIGHTLY.items() if "lightly" in pythons else ():
                file = folder / f"{name.split(', ')[1].replace(' ', '_')}_{seed}.npz"
                command = [pythons["lightly"], str(ROOT / "benchmarks/lightly_simclr.py")]
                command += [str(folder / "images.npz"), str(file), f"--seed={seed}", *settings]
                command += [f"--minutes={seconds / 60}"]
                done = subprocess.run(
                    command, check=True, text=True, stdout=subprocess.PIPE, env=environment
                )
                found, stored = json.loads(done.stdout), np.load(file)
                size = settings[settings.index("--feature_sizes") + 1]
                figures = measure((stored[f"train_{size}"], stored[f"test_{size}"]), labels)
                _print(name, seed, found["epochs"], found["seconds"], figures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", required=True, help="where TFDS has CIFAR-10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folder", help="keeps runs and features there")
    peers.add_arguments(parser)
    return parser.parse_args()


def write_images(path: Path, data_dir: str) -> Features:
    """Writes what lightly reads; returns the labels of both splits."""
    from simclr_tf import compat

    compat.import_tensorflow()
    import tensorflow_datasets as tfds

    whole = {
        split: tfds.as_numpy(tfds.load("cifar10", split=split, data_dir=data_dir, batch_size=-1))
        for split in ("train", "test")
    }
    np.savez(path, **{split: each["image"] for split, each in whole.items()})
    return whole["train"]["label"], whole["test"]["label"]


def ours(run: Path, args: argparse.Namespace, seed: int) -> tuple[float, float, Features]:
    """Trains as the recipe says; returns epochs, seconds, and the features of both splits."""
    data = ["--dataset=cifar10", f"--data_dir={args.data_dir}"]
    flags = [f"--flagfile={RECIPE}", *data, f"--model_dir={run}", f"--seed={seed}"]
    began = time.perf_counter()
    _command(*flags)
    seconds = time.perf_counter() - began
    found = []
    for split in ("train", "test"):
        file = run / f"{split}.npy"
        size = f"--image_size={FEATURE_SIZE}"
        _command("--mode=embed", f"--checkpoint={run}", *data, size, f"--output={file}",
                 f"--eval_split={split}")  # fmt: skip
        with open(f"{file.with_suffix('')}.names.csv", newline="") as names:
            order = [int(row["name"].rsplit("/", 1)[-1]) for row in csv.DictReader(names)]
        assert order == sorted(order)
        found.append(np.load(file))
    epochs = json.loads((run / "config.json").read_text())["train_epochs"]
    return epochs, seconds, (found[0], found[1])


def _command(*flags: str) -> None:
    command = [sys.executable, "-m", "simclr_tf.run", *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def measure(features: Features, labels: Features) -> list[float]:
    """Returns kNN and logistic regression on shares of the labels, the mean over ten draws."""
    from simclr_tf.evaluation import knn_accuracy, logistic_regression_accuracy
    from simclr_tf.runs.frozen import draw_labels, per_class

    train, test = (features[0], labels[0]), (features[1], labels[1])
    figures = [knn_accuracy(*train, *test)]
    for share in SHARES:
        each = per_class(share, labels[0]) if share < 1 else None
        draws = draw_labels(labels[0], each, seed=0)
        figures.append(
            float(np.mean([
                logistic_regression_accuracy(train[0][draw], train[1][draw], *test)
                for draw in draws
            ]))
        )  # fmt: skip
    return figures


def _print(name: str, seed: int, epochs: float, seconds: float, figures: list[float]) -> None:
    shown = " | ".join(f"{100 * figure:.1f}" for figure in figures)
    print(f"| {name} | {seed} | {epochs:g} | {seconds / 60:.1f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
