"""What --mode=probe says of weights and labels that it cannot measure by: one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.checkpoints.small import save, small_network

SMALL = ("--mode=probe", "--image_size=8", "--eval_batch_size=20", "--label_fractions=0.001,1")


def probe(run_here, *flags: object) -> int:
    return run_here(*SMALL, *flags)


def test_features_that_are_no_numbers(run_here, tmp_path: Path, capsys) -> None:
    network = small_network(classes=None)
    for kernel in network.encoder.trainable_variables:
        kernel.assign(np.full(kernel.shape, 1e30))  # numbers themselves
    save(network, tmp_path, classes=None)
    digits = ("--dataset=digits", "--train_split=train[:40]", "--eval_split=test[:20]")
    assert probe(run_here, *digits, f"--checkpoint={tmp_path}") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "features of 40 of 40 images of train[:40] are no numbers" in error


def test_one_class_whose_pictures_can_be_read(run_here, tmp_path: Path, capsys) -> None:
    root = tmp_path / "pictures"
    for name in "ab":
        (root / name).mkdir(parents=True)
        for index in range(30):
            Image.new("RGB", (8, 8)).save(root / name / f"{index}.png")
    for path in (root / "b").iterdir():
        path.write_bytes(b"")
    own = [f"--dataset=folder:{root}", "--folder_labels=folders", "--eval_split=validation"]
    assert probe(run_here, *own, "--resnet_depth=18", "--width_multiplier=0.03125") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --train_split=train: all images that have a label and can be ")
    assert error.count("\n") == 1
