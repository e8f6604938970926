"""`--mode=plan`: what it says, that its command works, and that it writes nothing."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from simclr_tf import memory
from simclr_tf.runs import cost, precision, proposal, timing

COST = cost.Cost(int(1e9), int(4e9), 0.5, 600.0, 32.0, "pairs", timing.RunPace(0.5, 0.9, 0.1))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured but the checkpoint."""
    monkeypatch.setattr(cost, "measure", lambda *_, **__: COST)  # see tests/runs/test_cost.py
    monkeypatch.setattr(precision, "compare", lambda *_: {"float32": 1.0, "bfloat16": 1.05})
    monkeypatch.setattr(cost, "_measure_step", lambda *_: (cost._Memory(1e9, 1e8), 0.01))
    monkeypatch.setattr(memory, "room", lambda: int(4e9))


def rows(printed: str) -> dict[str, str]:
    found = re.findall(r"^  ([a-z ]{10}) (.*)$", printed, re.MULTILINE)
    return {name.strip(): text for name, text in found}


def test_the_command_that_is_printed_trains(run, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a run's"
    given = [f"--model_dir={folder}", "--train_steps=4", "--checkpoint_steps=2"]
    assert run("--mode=plan", *given, "--augment_on=host") == 0
    assert not any(tmp_path.iterdir())
    printed = capsys.readouterr().out
    said = rows(printed)
    assert said["memory"] == "about 1 GB of 4 GB free"
    assert said["speed"] == "32 pairs/s; 10% of the time goes into data"
    assert "30 negatives per anchor" in said["loss"]
    assert said["precision"] == "float32 (measured: bfloat16 1.05 times as fast as float32)"
    assert said["views"] == "made in the input pipeline"
    assert said["batch"] == "16 images are the largest that fits: about 2.6 GB of 4 GB"
    command = shlex.split(printed.splitlines()[-1])
    assert command[:3] == ["python", "-m", "simclr_tf.run"]
    assert run(*command[3:], tiny=False, export=False) == 0
    size = sum(path.stat().st_size for path in folder.glob("ckpt-4.*"))
    assert said["on disk"].startswith(f"{2 * size / 1e6:.3g} MB: 2 checkpoints of ")
    assert said["on disk"].endswith("one every 2 steps")


def test_a_batch_that_does_not_fit_becomes_the_largest_that_does(run, capsys, monkeypatch) -> None:
    """And views are made where that is clearly faster."""

    def measure(run, *_, **__) -> cost.Cost:
        if run.config.augmentation.augment_on == "auto":
            return COST
        return dataclasses.replace(COST, pace=timing.RunPace(0.6, 0.6, 0.1), seconds=555.0)

    monkeypatch.setattr(cost, "measure", measure)
    assert run("--mode=plan", "--train_batch_size=64", "--train_mode=finetune") == 0
    printed = capsys.readouterr().out
    assert rows(printed)["batch"] == (
        "16 images are the largest that fits: about 2.6 GB of 4 GB; 64 would need 7.4 GB"
    )
    assert rows(printed)["views"] == (
        "made in the training step, 1.50 times as fast as in the input pipeline"
    )
    assert rows(printed)["time"].startswith("about 9 min 15 s")
    command = printed.splitlines()[-1].split()
    assert {"--train_batch_size=16", "--augment_on=device"} <= set(command)
    assert not any(flag.startswith("--precision") for flag in command)


def test_a_batch_to_pretrain_on_that_does_not_fit_is_encoded_in_parts(run, capsys) -> None:
    assert run("--mode=plan", "--train_batch_size=64") == 0
    printed = capsys.readouterr().out
    assert " steps of 64 images (16 encoded at a time) = " in rows(printed)["length"]
    command = printed.splitlines()[-1].split()
    assert {"--train_batch_size=64", "--micro_batch_size=16"} <= set(command)


def test_parts_that_are_given_and_fit_are_kept(run, capsys) -> None:
    """Though the whole batch would not fit, and larger parts would."""
    assert run("--mode=plan", "--train_batch_size=64", "--micro_batch_size=8") == 0
    printed = capsys.readouterr().out
    assert " steps of 64 images (8 encoded at a time) = " in rows(printed)["length"]
    assert "--micro_batch_size=8" in printed.splitlines()[-1].split()


def test_hours_become_a_network_and_epochs(run, capsys, monkeypatch) -> None:
    monkeypatch.setattr(proposal, "_seconds", lambda run: 1e-3)
    flags = ["--dataset=digits", "--width_multiplier=0.0625", "--augment_on=host"]
    assert run("--mode=plan", "--plan_hours=0.5", *flags, tiny=False) == 0
    printed = capsys.readouterr().out
    assert rows(printed)["tried"].startswith("pairs/s of ResNet-18 of width 0.0625 at 8 px 1e+03; ")
    command = printed.splitlines()[-1].split()
    # The recipe's 200 epochs take ten minutes; 95% of half an hour holds 2.85 times as many.
    assert {"--image_size=8", "--resnet_depth=50", "--train_epochs=570"} <= set(command)
    assert rows(printed)["time"].startswith("about 28 min ")
    assert not any(flag.startswith(("--plan_hours", "--mode")) for flag in command)
