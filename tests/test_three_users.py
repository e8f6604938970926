"""What README and docs/own_pictures.md print for three users, at a tiny size.

A student with pictures in folders that are splits: `test_folders_that_are_splits`. A shop with
cut-out products, files of 16 bits and a few labels: `test_a_few_labels_beside_unlabeled_pictures`.
An engineer who has the wheel and a log file: `tests/test_packaging.py`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf.checkpoints import find_weights, restore_parts
from simclr_tf.training.build import build_plain

# What README's recipe for a laptop has, made small.
SMALL = [
    *("--flagfile=flags/laptop.flags", "--image_size=8", "--width_multiplier=0.0625"),
    *("--proj_out_dim=8", "--train_batch_size=8", "--train_steps=4", "--warmup_epochs=0"),
]


@pytest.fixture
def command(run, monkeypatch):
    """Runs a command line from the folder of the README; returns its status."""
    monkeypatch.chdir(Path(__file__).parents[1])
    return lambda *flags, **settings: run(*flags, tiny=False, **settings)


def test_folders_that_are_splits(command, tmp_path, capsys) -> None:
    root, folder = tmp_path / "pictures", tmp_path / "run"
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 6)):
        for number, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = np.clip(random.normal(60 + 120 * number, 20, (9, 11, 3)), 0, 255)
                image = Image.fromarray(pixels.astype(np.uint8))
                image.save(root / split / name / f"{index}.jpg")
    pretrain = [*SMALL, f"--dataset=folder:{root}", "--folder_labels=folders", "--eval_split=test"]
    assert command(*pretrain, f"--model_dir={folder}") == 0
    told = capsys.readouterr().out
    assert f"folder:{root}: splits train 20, test 12\n" in told
    assert f"folder:{root}, train: 2 classes: cat 10, dog 10\n" in told
    assert re.search(r"^  task +pre-train without labels, with an online linear probe$", told, re.M)
    assert re.search(r"^  verdict +\w", told, re.M)
    assert (folder / "curves.png").is_file()
    assert f"--mode=probe --model_dir={folder}\n" in told

    assert command("--mode=probe", f"--model_dir={folder}") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^  kNN \(k 10, T 0.1\), 20 labels: .* of 12; 95% interval ", printed, re.M)
    result = json.loads((folder / "probe.json").read_text())
    assert result["test_images"] == 12
    assert f"{result['knn']:.2%} ({round(result['knn'] * 12)} of 12;" in printed


def test_a_few_labels_beside_unlabeled_pictures(command, tmp_path, capsys) -> None:
    root, folder, tuned = (tmp_path / name for name in ("shop", "run", "tuned"))
    root.mkdir()
    random = np.random.default_rng(0)
    names = []
    for index in range(40):
        # Whatever lies under transparent pixels, the product is a dark or a light square.
        pixels = random.integers(0, 256, (12, 12, 4), np.uint8)
        pixels[..., 3] = 0
        pixels[3:9, 3:9] = [*[40 if index % 2 else 220] * 3, 255]
        names.append(f"cut-out {index}.png")
        Image.fromarray(pixels).save(root / names[-1])
    for index in range(4):
        scan = random.integers(100, 4000, (12, 12)).astype(np.uint16)
        Image.fromarray(scan).save(root / f"scan {index}.{('png', 'tiff')[index % 2]}")
    (root / "prices.xlsx").touch()
    rows = [f"{name},{('light', 'dark')[i % 2]}\n" for i, name in enumerate(names[:30])]
    (root / "labels.csv").write_text("path,label\n" + "".join(rows))

    pretrain = [*SMALL, f"--dataset=folder:{root}", "--train_split=all", f"--model_dir={folder}"]
    assert command(*pretrain, export=False) == 0
    told = capsys.readouterr().out
    assert "left out 1 file that is no picture by its name: 1 .xlsx\n" in told
    assert re.search(r"16-bit pictures: values \d+ to 3,\d+ of a sample of 4 become 0 to 255", told)

    labels = ["--folder_labels=labels.csv", "--labels_per_class=5", "--eval_split=all"]
    assert command("--mode=probe", f"--model_dir={folder}", *labels, "--label_fractions=1") == 0
    told = capsys.readouterr().out
    assert "30 of the 44 images of all have a label; the others are left out\n" in told
    assert re.search(r"^  logistic regression, 10 labels \(5 of each class\): ", told, re.M)

    tune = ["--train_mode=finetune", "--mode=train_then_eval", f"--checkpoint={folder}", *labels]
    tune += [f"--dataset=folder:{root}", "--train_split=all", f"--model_dir={tuned}"]
    assert command(*tune, "--train_steps=3") == 0
    told = capsys.readouterr().out
    assert f"folder:{root}, all: 2 classes: dark 5, light 5\n" in told
    assert "train_batch_size is 10, not 16: there are 10 images\n" in told
    result = json.loads((tuned / "result.json").read_text())
    assert result["eval/examples"] == 30

    # The server's graph is given the files, and finds what evaluation found.
    served = tf.saved_model.load(str(tuned / "saved_model/3")).signatures["serving_default"]
    files = tf.constant([(root / name).read_bytes() for name in names[:30]])
    found = served(files)
    hits = np.argmax(found["logits"], 1) == np.array([1, 0] * 15)  # light is class 1
    assert np.mean(hits) == pytest.approx(result["eval/label_top_1_accuracy"])
    weights = find_weights(str(tuned))
    network = build_plain(weights.description.architecture, 2)
    restore_parts(network.parts, weights)
    white = np.full((1, 12, 12, 3), 255, np.uint8)
    white[:, 3:9, 3:9] = 220
    small = tf.image.resize(white / np.float32(255), (8, 8), "bicubic")
    logits = network(tf.clip_by_value(small, 0, 1), training=False)["logits_sup"]
    np.testing.assert_allclose(found["logits"][0], logits[0], rtol=1e-4, atol=1e-5)
