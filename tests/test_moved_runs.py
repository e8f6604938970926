"""A whole run under names that shells and TensorFlow take for something else, and then moved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import processes
from tests.test_training_runs import assert_same, weights_of

BATCH = "--train_batch_size=4"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with twenty pictures and their labels in it."""
    home = tmp_path / "é [1]"
    random = np.random.default_rng(0)
    for number in range(20):
        path = home / "own {pics}" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    rows = [f"{'ab'[number % 2]}/{number}.png,{'ab'[number % 2]}\n" for number in range(20)]
    (home / "labels [a,b].csv").write_text("path,label\n" + "".join(rows))
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    return home


def test_a_run_goes_on_where_all_that_it_was_started_from_has_moved(
    here: Path, run, capsys, monkeypatch
) -> None:
    split = ["--train_split=all", "--eval_split=all", BATCH]
    pictures = "--dataset=folder:own {pics}//"
    assert run(pictures, *split, "--train_steps=1", "--model_dir=./lr[0.1]*//", export=False) == 0
    common = [*split, "--train_mode=finetune", "--train_steps=3", "--checkpoint_steps=1"]
    common += ["--keep_checkpoint_max=2"]
    flags = [pictures, "--folder_labels=~/labels [a,b].csv", "--checkpoint=lr[0.1]*/"]
    assert run(*common, *flags, "--model_dir=tuned[?]", export=False) == 0
    steps = sorted(path.name for path in (here / "tuned[?]").glob("*.index"))
    assert steps == ["ckpt-2.index", "ckpt-3.index"]  # the first is gone
    stored = json.loads((here / "tuned[?]/config.json").read_text())
    assert stored["dataset"] == f"folder:{here}/own {{pics}}"
    assert stored["folder_labels"] == f"{here}/labels [a,b].csv"
    assert stored["checkpoint"] == f"{here}/lr[0.1]*"

    # A run that was stopped after its second step, of which nothing is where it was.
    elsewhere = here.parent / "elsewhere \\[0]"
    elsewhere.mkdir()
    processes.keep_until(here / "tuned[?]", elsewhere / "parts", step=2)
    shutil.move(here / "own {pics}", elsewhere / "pictures")
    shutil.move(here / "labels [a,b].csv", elsewhere / "labels.csv")
    shutil.rmtree(here / "lr[0.1]*")
    monkeypatch.chdir(elsewhere)
    moved = ["--dataset=folder:pictures", "--folder_labels=labels.csv", "--model_dir=parts/"]
    capsys.readouterr()
    assert run(*common, *moved, export=False) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "continues from step 2" in printed
    assert f"dataset has moved from {stored['dataset']} to folder:{elsewhere}/pictures" in printed
    assert f"folder_labels has moved from {stored['folder_labels']} to" in printed
    assert_same(weights_of(here / "tuned[?]"), weights_of(elsewhere / "parts"))

    # Started again, by either name of its initial weights, it is the same run, and finished.
    for more in ([], [f"--checkpoint={here}/lr[0.1]*"]):
        assert run(*common, *moved, *more, export=not more) == 0
        assert "is finished: 3 of 3 steps" in capsys.readouterr().out
    (elsewhere / "pictures/a/0.png").unlink()
    assert run(*common, *moved, export=False) == 0  # at its place, a folder may change
    changed = [*moved, "--dataset=folder:../pictures"]
    shutil.move(elsewhere / "pictures", here.parent / "pictures")
    assert run(*common, *changed) == 2
    assert "holds a run with dataset=folder:" in capsys.readouterr().err

    assert run("--mode=eval", *changed[1:3], "--eval_split=all", tiny=False) == 2
    assert "pictures does not exist" in capsys.readouterr().err
    assert run("--mode=export", "--checkpoint=parts/saved_model/3/", tiny=False) == 0
    printed = capsys.readouterr().out
    assert f"SavedModel: {elsewhere}/parts/saved_model/3" in printed
