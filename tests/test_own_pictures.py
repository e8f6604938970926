"""Whole runs on folders of pictures: without labels, with labels, with files that are broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.checkpoints import find_weights, restore_parts
from simclr_tf.data import preprocess_for_eval
from simclr_tf.training.build import build_plain
from tests.conftest import TINY
from tests.test_training_runs import assert_same, weights_of

BAD = ("bad empty.png", "bad cut.jpg", "bad text.gif")


@pytest.fixture
def pictures(tmp_path) -> Path:
    """60 pictures, stripes across in `rows` and down in `columns`, and three broken files."""
    root = tmp_path / "own pictures"
    random = np.random.default_rng(0)
    for number in range(60):
        stripes = np.broadcast_to(random.integers(0, 256, (12, 1, 3), np.uint8), (12, 10, 3))
        kind = ("jpg", "png", "webp")[number % 3]
        folder = ("rows", "columns")[number % 2]
        pixels = stripes if folder == "rows" else stripes.transpose(1, 0, 2)
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(root / folder / f"é {number}.{kind}")
    (root / "rows" / BAD[0]).touch()
    (root / "rows" / BAD[1]).write_bytes((root / "rows" / "é 0.jpg").read_bytes()[:-200])
    (root / "columns" / BAD[2]).write_text("no picture")
    return root


@pytest.fixture
def run_on(run, pictures):
    """Runs a command line on the pictures; returns its status."""
    own = [f"--dataset=folder:{pictures}", "--eval_split=validation"]
    return lambda *flags, **settings: run(*own, *flags, **settings)


def test_from_pictures_to_a_classifier(run, run_on, pictures, tmp_path, capsys) -> None:
    pretrained, probed, tuned = (tmp_path / name for name in ("pretrained", "probed", "tuned"))
    train = ["--train_steps=6", "--train_split=all", f"--model_dir={pretrained}"]
    assert run_on(*train, export=False) == 0
    printed = capsys.readouterr().out
    assert "pre-train without labels\n" in printed
    assert f"3 files could not be read; see {pretrained}/bad_images.txt" in printed
    lines = (pretrained / "bad_images.txt").read_text().splitlines()
    assert sorted(Path(line.split("\t")[0]).name for line in lines) == sorted(BAD)
    assert json.loads((pretrained / "simclr.json").read_text())["supervised_head"] is None

    flags = ["--mode=probe", f"--checkpoint={pretrained}", "--folder_labels=folders"]
    fractions = "--label_fractions=1"
    assert run_on(*flags, fractions, f"--model_dir={probed}", "--train_split=all") == 0
    result = json.loads((probed / "probe.json").read_text())
    assert 0 <= result["logistic_regression/1"] <= 1
    assert "60 labels" in capsys.readouterr().out
    assert run_on(*flags, fractions, "--train_split=all") == 0
    assert f"{BAD[2]}: not a JPEG" in capsys.readouterr().out

    table = tmp_path / "labels.csv"
    files = [path for path in pictures.rglob("*.*") if path.is_file()]
    unlabeled = {pictures / "rows" / f"é {number}.jpg" for number in (0, 6, 12)}
    rows = [
        f"{path.relative_to(pictures)},{path.parent.name}\n"
        for path in files
        if path not in unlabeled
    ]
    table.write_text("path,label\n" + "".join(rows))
    flags = ["--train_mode=finetune", "--mode=train_then_eval", f"--checkpoint={pretrained}"]
    flags += [f"--folder_labels={table}", "--train_steps=4", f"--model_dir={tuned}"]
    assert run_on(*flags, "--eval_split=all") == 0
    printed = capsys.readouterr().out
    assert "60 of the 63 images of all have a label; the others are left out" in printed
    assert "all (57 images)" in printed
    result = json.loads((tuned / "result.json").read_text())
    hits = result["eval/label_top_1_accuracy"] * 57
    assert hits == pytest.approx(round(hits), abs=1e-4)
    assert (tuned / "saved_model/4").is_dir()
    assert run("--mode=eval", "--eval_split=all", f"--model_dir={tuned}", tiny=False) == 0
    assert "all (57 images)" in capsys.readouterr().out


def draw_classes(root: Path, names: str) -> None:
    """Nine pictures each, of a color of its own and noise."""
    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        color = np.array([number % 2, number // 2 % 2, number // 4]) * 150 + 30
        for index in range(9):
            pixels = np.clip(random.normal(color, 30, (10, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")


def accuracies(folder: Path, root: Path, names: str) -> tuple[float, float]:
    """Returns top-1 and top-5 of a run's classifier on a folder of pictures, one by one."""
    weights = find_weights(str(folder))
    network = build_plain(weights.description.architecture, weights.description.num_classes)
    restore_parts(network.parts, weights)
    ranks = []
    for path in root.rglob("*.png"):
        image = tf.constant(np.asarray(Image.open(path)))
        pixels = preprocess_for_eval(image[tf.newaxis], weights.description.image_size)
        logits = network(pixels, training=False)["logits_sup"].numpy()[0]
        ranks.append(int(np.sum(logits > logits[names.index(path.parent.name)])))
    return float(np.mean(np.array(ranks) < 1)), float(np.mean(np.array(ranks) < 5))


def test_classes_go_by_name(run, tmp_path, monkeypatch, capsys) -> None:
    """Evaluated by both doors and continued, on folders whose classes are not the run's."""
    monkeypatch.chdir(tmp_path)
    root, folder = tmp_path / "pictures", tmp_path / "run"
    draw_classes(root, "abcdefgh")
    own = ["--train_split=all", "--folder_labels=folders", "--eval_split=all"]
    train = ["--train_mode=finetune", f"--dataset=folder:{root}", *own, "--train_steps=16"]
    train += [f"--model_dir={folder}", "--learning_rate=1"]
    assert run(*train) == 0
    for path in (folder, folder / "saved_model/16/assets.extra"):
        assert json.loads((path / "simclr.json").read_text())["class_names"] == list("abcdefgh")
    for name in "acd":
        (root / name).rename(tmp_path / name)
    top_1, top_5 = accuracies(folder, root, "abcdefgh")
    by_position = accuracies(folder, root, "befghacd")
    assert by_position[0] != pytest.approx(top_1)
    assert by_position[1] != pytest.approx(top_5)
    expected = {
        "eval/label_top_1_accuracy": pytest.approx(top_1),
        "eval/label_top_5_accuracy": pytest.approx(top_5),
    }
    evaluate = ["--mode=eval", f"--dataset=folder:{root}", *own[1:]]
    capsys.readouterr()
    for door in (f"--checkpoint={folder}", f"--model_dir={folder}"):
        assert run(*evaluate, door, "--eval_batch_size=16", tiny=False) == 0
        assert "classes go by the network's names, 5 of its 8\n" in capsys.readouterr().out
    for result in (*(tmp_path / "runs").glob("*/result.json"), folder / "result.json"):
        assert expected.items() <= json.loads(result.read_text()).items()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (root / "h").rename(root / "i")
    assert run(*evaluate, f"--checkpoint={folder}", tiny=False) == 2
    assert "does not know: i; " in capsys.readouterr().err
    assert run(*train) == 2
    assert "other classes than folder:" in (error := capsys.readouterr().err)
    assert "(new: i, gone: a, c, d, h)" in error
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_splits_a_probe_of_the_run_and_a_few_labels(run, tmp_path, capsys) -> None:
    """Folders that are splits; a run measured in its own folder; two labels of each class."""
    root, folder, tuned = (tmp_path / name for name in ("pictures", "run", "tuned"))
    draw_classes(root / "train", "abc")
    draw_classes(root / "test", "abc")
    (root / "test" / "a" / "notes.txt").touch()
    (root / "test" / "c" / "8.png").write_text("no picture")
    pictures = [f"--dataset=folder:{root}", "--eval_split=test"]
    pretrain = [*pictures, "--train_steps=2", f"--model_dir={folder}"]
    assert run(*pretrain, "--checkpoint_steps=1", export=False) == 0
    printed = capsys.readouterr().out
    assert f"folder:{root}: splits train 27, test 27\n" in printed
    assert "left out 1 file that is no picture by its name: 1 .txt\n" in printed
    assert "train: 27 images\n" in printed

    fit = ["--mode=probe", "--folder_labels=folders", "--label_fractions=0.1,0.01,1,1"]
    assert run(*fit, "--labels_per_class=2", f"--model_dir={folder}", tiny=False) == 0
    printed = capsys.readouterr().out
    assert f"folder:{root}, train: 3 classes: a 9, b 9, c 9\n" in printed
    assert f"probing on folder:{root}: encoder, projection_head from {folder}/ckpt-2 " in printed
    assert "  kNN (k 9, T 0.1), 27 labels: " in printed
    lines = re.findall(r"^  logistic regression, (.*?): (.*)$", printed, re.M)
    sizes = ["3 labels (1 of each class)", "27 labels", "6 labels (2 of each class)"]
    assert [line[0] for line in lines] == sizes
    assert re.fullmatch(r"[\d.]+% \+- [\d.]+% \(26 test images; 95% interval .*\), 10 draws", lines[0][1])  # fmt: skip # noqa: E501
    result = json.loads((folder / "probe.json").read_text())
    assert result["logistic_regression/0.1"] == result["logistic_regression/0.01"]
    assert result["test_images"] == 26
    hits = round(result["logistic_regression/1"] * 26)
    assert lines[1][1].startswith(f"{hits / 26:.2%} ({hits} of 26; 95% interval ")
    assert run(*fit, *pictures, f"--checkpoint={folder}", f"--model_dir={tuned}x", tiny=False) == 0
    again = json.loads(Path(f"{tuned}x", "probe.json").read_text())
    assert again.items() <= result.items()

    for index in folder.glob("ckpt-*"):
        shutil.copy(index, tmp_path)
        index.unlink()
    capsys.readouterr()
    assert run(*fit, f"--model_dir={folder}", tiny=False) == 2
    assert "holds a run that has no checkpoint yet; wait for one" in capsys.readouterr().err
    for index in tmp_path.glob("ckpt-*"):
        shutil.copy(index, folder)

    tune = ["--train_mode=finetune", "--folder_labels=folders", "--labels_per_class=2", *pictures]
    tune += ["--mode=train_then_eval", f"--checkpoint={folder}", f"--model_dir={tuned}"]
    assert run(*tune, "--train_steps=2", export=False) == 0
    printed = capsys.readouterr().out
    assert f"folder:{root}, train: 3 classes: a 2, b 2, c 2\n" in printed
    assert f"folder:{root}, test: 3 classes: a 9, b 9, c 9\n" in printed
    assert "train: 6 images\n" in printed
    result = json.loads((tuned / "result.json").read_text())
    assert result["eval/examples"] == 26
    hits = round(result["eval/label_top_1_accuracy"] * 26)
    assert f"step 2, test (26 images): top-1 {hits / 26:.2%} ({hits} of 26; 95% inter" in printed

    shutil.copytree(root / "train", tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "b")
    other = ["--mode=eval", f"--eval_dataset=folder:{tmp_path / 'other'}", "--eval_split=all"]
    assert run(*other, f"--model_dir={tuned}", tiny=False) == 0
    printed = capsys.readouterr().out
    assert "other, all: 3 classes: a 9, b 0, c 9\nstep 2, all (18 images): top-1 " in printed
    top_1, _ = accuracies(tuned, tmp_path / "other", "abc")
    found = json.loads((tuned / "result.json").read_text())
    assert found["eval/label_top_1_accuracy"] == pytest.approx(top_1)


def test_labels_switch_the_online_probe_on(run_on, pictures, tmp_path, capsys) -> None:
    shutil.copy(pictures / "rows" / "é 0.jpg", pictures / "stray 1.jpg")
    flags = ["--folder_labels=folders", "--mode=train_then_eval", "--train_steps=2"]
    assert run_on(*flags, f"--model_dir={tmp_path / 'run'}", export=False) == 0
    printed = capsys.readouterr().out
    assert "with an online linear probe" in printed
    said = re.search(
        r": (\d+) of the (\d+) images of train have a label; the online probe", printed
    )
    assert int(said[1]) == int(said[2]) - 1
    described = json.loads((tmp_path / "run" / "simclr.json").read_text())
    assert described["class_names"] == ["columns", "rows"]
    assert "top-1" in printed


def test_resumed_equals_uninterrupted(run_on, tmp_path, capsys) -> None:
    common = ["--train_split=all", "--train_steps=6", "--checkpoint_steps=2"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run_on(*common, f"--model_dir={whole}", export=False) == 0
    parts.mkdir()
    for file in [*whole.glob("ckpt-4.*"), *whole.glob("*.json")]:
        shutil.copy(file, parts)
    (parts / "checkpoint").write_text('model_checkpoint_path: "ckpt-4"\n')
    capsys.readouterr()
    assert run_on(*common, f"--model_dir={parts}", export=False) == 0
    printed = capsys.readouterr().out
    assert "continues from step 4" in printed
    assert "has changed" not in printed
    assert_same(weights_of(whole), weights_of(parts))


def test_a_changed_folder_goes_on_and_is_said(run_on, pictures, tmp_path, capsys) -> None:
    common = ["--train_epochs=1", "--train_split=all", f"--model_dir={tmp_path / 'run'}"]
    assert run_on(*common, export=False) == 0
    for number in range(30):
        shutil.copy(pictures / "rows" / "é 0.jpg", pictures / "rows" / f"new {number}.jpg")
    assert run_on(*common, export=False) == 0
    assert "63 files then, 93 now" in capsys.readouterr().out
    # Shrunk, it has more steps behind it than the new plan asks for: those it has.
    for path in [*(pictures / "rows").glob("new*"), *(pictures / "columns").glob("é*")]:
        path.unlink()
    assert run_on(*common) == 0
    printed = capsys.readouterr().out
    assert "is finished: 6 of 6 steps (3 would do for the images there are now)" in printed
    described = tmp_path / "run" / "saved_model" / "6" / "assets.extra" / "simclr.json"
    assert json.loads(described.read_text())["step"] == 6


def test_views(run_on, tmp_path) -> None:
    assert run_on("--mode=show_views", f"--model_dir={tmp_path / 'run'}") == 0
    sheet = tf.io.decode_png((tmp_path / "run" / "views.png").read_bytes())
    assert sheet.shape == (8 + 8 * 302, 704, 3)  # a row: 224 pixels, five lines of text


IMPOSSIBLE = {
    "--train_mode=finetune": "has no class labels; say where they are: --folder_labels=folders",
    "--mode=probe --label_fractions=1": "has no class labels",
    "--mode=train_then_eval": "has no class labels",
    "--lineareval_while_pretraining": "has no class labels",
    "--eval_split=test --mode=train_then_eval": "has train (",
    "--folder_labels=none.csv": "--folder_labels=none.csv: no such file",
    "--folder_labels=folders --dataset=digits": "--folder_labels=folders is for your own pictures",
    "--on_bad_image=ignore": "on_bad_image",
    "--dataset=folder:/no/such": "/no/such does not exist",
}


def test_without_labels_probe_measures_health_alone(run_on, tmp_path, capsys) -> None:
    assert run_on("--mode=probe", f"--model_dir={tmp_path / 'run'}") == 0
    printed = capsys.readouterr().out
    assert "so health is all there is; say where they are: --folder_labels=folders" in printed
    result = json.loads((tmp_path / "run" / "probe.json").read_text())
    assert result.pop("of")["dataset"].startswith("folder:")
    assert {name.split("/")[0] for name in result} == {"health"}
    assert len(result) == 10
    assert (
        f"h: RankMe {result['health/rank_me_h']:.1f}, LiDAR {result['health/lidar_h']:.1f} of "
        in printed
    )


@pytest.mark.parametrize("flags", IMPOSSIBLE)
def test_what_cannot_work_is_one_line(flags, run_on, tmp_path, capsys) -> None:
    assert run_on(f"--model_dir={tmp_path / 'run'}", *flags.split()) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert IMPOSSIBLE[flags] in printed.err
    assert not (tmp_path / "run").exists()


@pytest.mark.smoke
def test_fail_names_the_file_and_is_status_2(pictures, tmp_path) -> None:
    flags = [*TINY, f"--dataset=folder:{pictures}", "--on_bad_image=fail", "--train_split=all"]
    command = [sys.executable, "-m", "simclr_tf.run", *flags, f"--model_dir={tmp_path / 'run'}"]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    shown = done.stderr.replace("\r", "\n").splitlines()
    lines = [line for line in shown if line.strip() and " |" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"error: --on_bad_image=fail: {pictures}/")
    assert any(name in lines[0] for name in BAD)
