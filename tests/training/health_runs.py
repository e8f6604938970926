"""Trains healthy runs and sick ones, whose figures `test_diagnosis.py` judges.

    python -m tests.training.health_runs /tmp/runs --data_dir=../shared/tfds

writes `health_runs.json` beside this file: of each run what it was meant to be, and what was seen
at each look. Some twenty minutes on two cores. Runs that are there already are not trained again;
healthy ones with a star were trained for other pages, and measured at their checkpoints.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from simclr_tf import compat
from simclr_tf.config import parse

HERE = Path(__file__).with_suffix(".json")
FIGURES = (
    *("contrast_loss", "rank_me_h", "lidar_h", "rank_me_z", "lidar_z", "deviation", "alignment"),
    *("uniformity", "positive_similarity", "hardest_negative_similarity"),
)
NAMES = [f"health/{name}" for name in FIGURES[1:]]
_COMMON = "--eval_split=test --width_multiplier=0.125 --resnet_depth=18 --use_blur=false"
_COMMON += " --color_jitter_strength=0.5 --lineareval_while_pretraining=false"
DIGITS = f"{_COMMON} --dataset=digits --image_size=16 --num_proj_layers=2 --proj_out_dim=64"
DIGITS += " --train_batch_size=128 --train_epochs=20 --warmup_epochs=2"
CIFAR = f"{_COMMON} --dataset=cifar10 --width_multiplier=0.25 --image_size=16"
CIFAR += " --num_proj_layers=2 --train_batch_size=128 --train_steps=250 --warmup_epochs=0.1"
FASHION = CIFAR.replace("cifar10", "fashion_mnist").replace("=0.25", "=0.125")

MOMENTUM = "--optimizer=momentum --learning_rate=0.2 --weight_decay=1e-4 --temperature=0.2"
LARS = "--optimizer=lars --learning_rate=1 --weight_decay=1e-6 --temperature=0.2"
SLOW = "--temperature=0.5 --learning_rate=1e-3"
ROOT = "--train_batch_size=256 --train_epochs=40 --learning_rate_scaling=sqrt --learning_rate=0.02"
ADAM = "--optimizer=adam --learning_rate=4e-3 --weight_decay=1e-6 --temperature=0.2"

SMALL = f"{DIGITS} --image_size=8"
CIFAR_8 = f"{CIFAR} --width_multiplier=0.125 --train_batch_size=64"
FASHION_8 = f"{FASHION} --image_size=12 --train_batch_size=64"

# By what a run is meant to be: its name and flags. "*": its figures have not been seen when
# thresholds were chosen.
RUNS = {
    "healthy": {
        "digits momentum": f"{DIGITS} {MOMENTUM} --width_multiplier=0.25",
        "digits lars": f"{DIGITS} {LARS}",
        "digits T 0.1, batch 256": f"{DIGITS} {MOMENTUM} {ROOT} --temperature=0.1",
        "cifar10 adam, learning rate 0.1": f"{CIFAR} {ADAM} --learning_rate=0.1",
        "*cifar10 small, momentum": f"{CIFAR_8} {MOMENTUM}",
    },
    "learning rate": {
        "digits momentum x1000": f"{DIGITS} {MOMENTUM} --learning_rate=200",
        "digits lars x1000": f"{DIGITS} {LARS} --learning_rate=1000",
        "digits adam x250": f"{DIGITS} {ADAM} --learning_rate=1",
        "cifar10 momentum x1000": f"{CIFAR} {MOMENTUM} --learning_rate=200",
        "fashion small, momentum x1000": f"{FASHION_8} {MOMENTUM} --learning_rate=200",
        "digits small, adam x2500": f"{SMALL} {ADAM} --learning_rate=10",
    },
    "weight decay": {
        "digits momentum, decay 1": f"{DIGITS} {MOMENTUM} --weight_decay=1",
        "cifar10 momentum, decay 1": f"{CIFAR} {MOMENTUM} --weight_decay=1",
    },
    "temperature too high": {
        "digits T 5": f"{DIGITS} {MOMENTUM} --temperature=5",
        "cifar10 T 5": f"{CIFAR} {MOMENTUM} --temperature=5",
        "fashion T 10": f"{FASHION} {ADAM} --temperature=10",
        "digits lars T 5": f"{DIGITS} {LARS} --temperature=5",
    },
    "temperature too low": {
        "digits T 0.005": f"{DIGITS} {MOMENTUM} --temperature=0.005",
        "cifar10 small, T 0.005": f"{CIFAR_8} {MOMENTUM} --temperature=0.005",
        "fashion small, adam, T 0.005": f"{FASHION_8} {ADAM} --temperature=0.005",
        "digits small, lars, T 0.002": f"{SMALL} {LARS} --temperature=0.002",
    },
    "views too alike": {
        "digits small, flips alone": f"{SMALL} {MOMENTUM} --color_jitter_strength=0",
        "cifar10 small, flips alone": f"{CIFAR_8} {MOMENTUM} --color_jitter_strength=0",
        "fashion small, adam, flips alone": f"{FASHION_8} {ADAM} --color_jitter_strength=0",
        "*digits small, lars, flips alone": f"{SMALL} {LARS} --color_jitter_strength=0",
    },
    "other": {
        "digits adam, learning rate 1e-3, T 0.5": f"{DIGITS} {ADAM} {SLOW}",
        "fashion adam x250": f"{FASHION} {ADAM} --learning_rate=1",
        "digits small, adam": f"{SMALL} {ADAM}",
        "digits adam, decay 1": f"{DIGITS} {ADAM} --weight_decay=1",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--data_dir")
    given = parser.parse_args()
    known = json.loads(HERE.read_text())["runs"] if HERE.exists() else {}
    for kind, runs in RUNS.items():
        for name, flags in runs.items():
            if name not in known:
                known[name] = {"meant": kind, **train(kind, flags.split(), given)}
                write(known)


def write(runs: dict[str, Any]) -> None:
    """Writes what is known, a line for each look."""
    text = json.dumps({"figures": FIGURES, "runs": runs}, indent=1)
    HERE.write_text(re.sub(r"\[[^][]*\]", lambda row: " ".join(row[0].split()), text) + "\n")


def train(kind: str, flags: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """Trains a run in this process; returns its settings and figures."""
    compat.import_tensorflow()
    import pytest
    import tensorflow as tf

    from simclr_tf import augmentation
    from simclr_tf.run import main as run
    from simclr_tf.runs import networks
    from simclr_tf.training import health
    from tests.bare import bare

    class Uncropped(augmentation.SimCLRViews):
        """Flips of whole images."""

        def __init__(self, size: int, **settings: Any) -> None:
            super().__init__(size, **settings)
            ranges = {"area_range": (1.0, 1.0), "aspect_ratio_range": (1.0, 1.0)}
            value_range = self.value_range
            self.crop = augmentation.RandomResizedCrop(
                size, size, value_range=value_range, **ranges
            )

    tf.keras.backend.clear_session()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, bare():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(health, "SHARE", 1.0)
            if kind == "views too alike":
                patch.setattr(networks, "SimCLRViews", Uncropped)
            flags = [*flags, f"--model_dir={folder}", "--seed=0"]
            if "--dataset=digits" not in flags and given.data_dir:
                flags.append(f"--data_dir={given.data_dir}")
            assert run(["simclr_tf", *flags]) == 0
        lines = map(json.loads, Path(folder, "metrics.jsonl").read_text().splitlines())
        looks = [line for line in lines if NAMES[0] in line]
    asked = parse(flags)
    return {
        "batch": asked.optimization.train_batch_size,
        "temperature": asked.loss.temperature,
        "view_distance": rounded(looks[0]["health/view_distance"]),
        "looks": [
            [look["step"], *(rounded(look[name]) for name in ("train/contrast_loss", *NAMES))]
            for look in looks
        ],
    }


def rounded(value: float) -> float:
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
