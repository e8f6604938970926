"""Two and four virtual CPUs give what one gives, on the same global batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simclr_tf.training.knn_curve import NAME
from simclr_tf.training.metrics_file import MetricsFile
from tests import processes
from tests.conftest import TINY

COMMON = [*TINY, "--mode=train_then_eval", "--train_steps=5", "--checkpoint_steps=2"]
COMMON += ["--train_summary_steps=1", "--weight_decay=1e-3", *processes.CALM]


@pytest.fixture(scope="module")
def pretrained(run_here, tmp_path_factory) -> dict[int, Path]:
    """The same run on 1, 2 and 4 devices."""
    folders = {devices: tmp_path_factory.mktemp("run") / str(devices) for devices in (1, 2, 4)}
    knn = "--knn_every_epochs=1"
    assert run_here(*COMMON, knn, f"--model_dir={folders[1]}", export=False) == 0
    for devices in (2, 4):
        flags = [knn, f"--num_virtual_devices={devices}", f"--model_dir={folders[devices]}"]
        # That several devices export is seen once.
        module = "simclr_tf.run" if devices == 2 else "tests.bare"
        printed = processes.run(*COMMON, *flags, module=module)
        assert f"Mirrored on CPU, {devices} x {16 // devices} images a step" in printed
    return folders


def check_same(one: Path, several: Path) -> None:
    processes.assert_close(processes.weights(one), processes.weights(several))
    assert len(processes.losses(one)) == 5
    np.testing.assert_allclose(processes.losses(one), processes.losses(several), rtol=1e-5)
    first, second = (json.loads((f / "result.json").read_text()) for f in (one, several))
    assert first.keys() == second.keys()
    # 355 images in batches of 128, the last one of 99: each counts once.
    for metric in ("eval/label_top_1_accuracy", "eval/label_top_5_accuracy"):
        assert first[metric] == pytest.approx(second[metric], abs=1e-6)


@pytest.mark.parametrize("devices", [2, 4])
def test_pretraining(devices: int, pretrained: dict[int, Path]) -> None:
    check_same(pretrained[1], pretrained[devices])
    one, several = (
        [line[NAME] for line in MetricsFile(str(folder)).read() if NAME in line]
        for folder in (pretrained[1], pretrained[devices])
    )
    assert len(one) == len(several) == 1
    assert several == pytest.approx(one, abs=2 / 355 + 1e-9)  # rounding may move a vote or two


def test_one_step_at_the_default_rate_and_temperature(run_here, tmp_path: Path) -> None:
    """More than one is compared at `processes.CALM` only: at these, rounding grows with each."""
    flags = [*TINY, "--mode=train", "--train_steps=1", "--learning_rate=0.3", "--temperature=0.1"]
    assert run_here(*flags, f"--model_dir={tmp_path / '1'}", export=False) == 0
    two_devices = ["--num_virtual_devices=2", f"--model_dir={tmp_path / '2'}"]
    processes.run(*flags, *two_devices, module="tests.bare")
    one, two = (processes.weights(tmp_path / devices) for devices in "12")
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=0, atol=3e-5, err_msg=name)


def test_fine_tuning(pretrained: dict[int, Path], run_here, tmp_path: Path) -> None:
    flags = [*COMMON, "--train_mode=finetune", f"--checkpoint={pretrained[1]}"]
    assert run_here(*flags, f"--model_dir={tmp_path / '1'}", export=False) == 0
    two_devices = ["--num_virtual_devices=2", f"--model_dir={tmp_path / '2'}"]
    processes.run(*flags, *two_devices, module="tests.bare")
    check_same(tmp_path / "1", tmp_path / "2")


@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 1)])
def test_checkpoint_moves_between_device_counts(
    before: int, after: int, pretrained: dict[int, Path], run_here, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "run"
    processes.keep_until(pretrained[before], folder, step=2)
    flags = [*COMMON, f"--model_dir={folder}", "--mode=train"]
    if after == 1:
        assert run_here(*flags, export=False) == 0
        printed = capsys.readouterr().out
    else:
        printed = processes.run(*flags, f"--num_virtual_devices={after}", module="tests.bare")
    assert "continues from step 2" in printed
    processes.assert_close(processes.weights(pretrained[1]), processes.weights(folder))
