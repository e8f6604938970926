"""What is printed when a run has ended: the commands can be typed as they stand."""

from __future__ import annotations

import json
import shlex
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from simclr_tf import config, validation
from simclr_tf.distribution import Workers
from simclr_tf.errors import SettingError
from simclr_tf.runs.end_screen import announce_end
from simclr_tf.runs.training import Trained


class Dataset:
    """Stands for a data set: its splits, and whether it has labels."""

    def __init__(self, splits: tuple[str, ...], num_classes: int | None) -> None:
        self.splits = dict.fromkeys(splits, 100)
        self.num_classes = num_classes

    def check_split(self, split: str) -> None:
        if split not in self.splits:
            raise SettingError("eval_split", split, "is none")


@pytest.fixture
def ended(capsys, tmp_path) -> Callable[..., tuple[dict[str, str], list[config.Config]]]:
    """Ends a run of the flags; returns what stands beside each word, and the commands, parsed."""

    def end(
        *flags: str, splits: tuple[str, ...] = ("train", "test"), start: int = 0, **settings
    ) -> tuple[dict[str, str], list[config.Config]]:
        asked = config.parse(["--train_batch_size=16", *flags])
        classes, steps = settings.pop("classes", 10), settings.pop("steps", 20)
        run = types.SimpleNamespace(
            config=asked,
            workers=Workers(),
            dataset=Dataset(splits, classes),
            plan=types.SimpleNamespace(train_steps=steps, num_classes=classes),
        )
        announce_end(run, types.SimpleNamespace(step=start), Trained({}, 75.0))
        lines = capsys.readouterr().out.splitlines()
        words = {line[2:13].strip(): line[13:] for line in lines if line.startswith("  ")}
        typed = [shlex.split(line) for line in lines if line.startswith("python -m simclr_tf.run ")]
        commands = [config.parse(words[3:]) for words in typed]
        for command in commands:
            validation.check(command)
        return words, commands

    return end


def test_after_pretraining(ended) -> None:
    given = ["--dataset=cifar10", "--data_dir=/my data", "--image_size=32", "--model_dir=runs/a b"]
    words, (probe, tune) = ended(*given, "--train_split=train[:50%]")
    assert words["took"] == "1 min 15 s for 20 steps; 320 images seen"
    assert "verdict" not in words, "nothing was measured"
    assert (probe.task.mode, probe.task.model_dir) == ("probe", "runs/a b")
    assert probe.given == {"mode", "model_dir", "eval_split"}, "the rest is the run's own"
    assert probe.data.eval_split == tune.data.eval_split == "test", "cifar10 has no validation"
    assert (tune.task.train_mode, tune.task.mode) == ("finetune", "train_then_eval")
    assert (tune.task.checkpoint, tune.data.dataset) == ("runs/a b", "cifar10")
    assert (tune.data.data_dir, tune.data.train_split) == ("/my data", "train")
    assert not tune.task.model_dir


def test_a_split_that_there_is_stays(ended) -> None:
    flags = ["--dataset=digits", "--model_dir=a"]
    _, (probe, _) = ended(*flags, splits=("train", "validation"))
    assert "eval_split" not in probe.given
    _, (probe, tune) = ended(*flags, "--eval_split=mine", splits=("train", "mine"))
    assert "eval_split" not in probe.given
    assert tune.data.eval_split == "mine"
    _, (probe, tune) = ended(*flags, "--eval_dataset=other", "--eval_split=theirs")
    assert "eval_split" not in probe.given
    assert (tune.data.eval_dataset, tune.data.eval_split) == ("other", "theirs")


def test_folders_without_labels_are_measured_by_their_folders(ended) -> None:
    flags = ["--dataset=folder:/my pictures", "--model_dir=a"]
    _, commands = ended(*flags, classes=None, splits=("train", "validation"))
    assert [command.data.folder_labels for command in commands] == ["folders", "folders"]
    assert [command.data.dataset for command in commands] == ["folder:/my pictures"] * 2
    _, commands = ended(*flags, "--folder_labels=labels.csv")
    assert commands[1].data.folder_labels == "labels.csv"
    _, (probe,) = ended("--dataset=no_labels", "--model_dir=a", classes=None)
    assert probe.given == {"mode", "model_dir"}, "which takes no labels for health"


def test_after_fine_tuning(ended) -> None:
    flags = ["--train_mode=finetune", "--dataset=digits", "--checkpoint=a"]
    words, (evaluate,) = ended(*flags, "--model_dir=runs/b c")
    assert (evaluate.task.mode, evaluate.task.model_dir) == ("eval", "runs/b c")
    assert words["next"] == "ask that server:"
    words, commands = ended(*flags, "--model_dir=ram://a/b", "--mode=train_then_eval")
    assert commands == []


def test_what_another_start_has_taken_is_not_counted(ended) -> None:
    words, _ = ended("--dataset=digits", "--model_dir=a", start=15)
    assert (
        words["took"] == "1 min 15 s for steps 16 to 20, which is since it went on; 80 images seen"
    )
    words, commands = ended("--dataset=digits", "--model_dir=a", start=20)
    assert "took" not in words and len(commands) == 2


def test_health_is_told_by_all_looks_that_are_judged(ended, tmp_path: Path) -> None:
    total = 1000
    figures = {
        **{"rank_me_h": 20.0, "lidar_h": 40.0, "rank_me_z": 30.0, "lidar_z": 45.0},
        **{"deviation": 0.9, "alignment": 1.0, "uniformity": -3.0},
        **{"positive_similarity": 0.5, "hardest_negative_similarity": 0.8, "view_distance": 0.7},
    }
    values = {"train/contrast_loss": 7.0, "train/contrast_acc": 0.05}
    lines = [{"step": 100, **values, "health/deviation": 0.1}, {"step": 150, **values}]
    for step, deviation in ((400, 0.2), (700, 0.3), (total, 0.9)):
        look = {f"health/{name}": value for name, value in figures.items()}
        lines.append({"step": step, **values, **look, "health/deviation": deviation})
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = ["--dataset=digits", f"--model_dir={tmp_path}"]
    words, _ = ended(*flags, steps=total)
    assert words["health"].startswith("learning rate too high: z was collapsed at 2 of 3 looks, ")


def test_the_verdict_is_on_the_whole_run(ended, tmp_path: Path) -> None:
    flags = ["--dataset=digits", f"--model_dir={tmp_path}"]
    values = {"train/contrast_loss": 7.0, "train/contrast_acc": 0.05}
    lines = [{"step": step, **values} for step in range(1, 20)]
    lines.insert(0, {"step": 1, "eval/knn_top_1": 0.5})  # of --knn_every_epochs: no mean over steps
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "verdict" not in ended(*flags)[0], "another version has trained the last steps"
    with path.open("a") as file:
        file.write(json.dumps({"step": 20, **values}) + "\n")
    words, _ = ended(*flags, start=20)
    assert words["verdict"].startswith("not learned: ")
    assert words[""].startswith(
        "over the last tenth: NT-Xent 7.00 (at step 1 7.00, all views alike"
    )
