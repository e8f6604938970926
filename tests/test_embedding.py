"""--mode=embed and --mode=neighbors: features of a tiny run as files, and pictures alike."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_digits

from simclr_tf import data
from simclr_tf.embedding import Parts
from simclr_tf.runs import embedding
from tests.conftest import TINY

EMBED = ("--mode=embed", "--eval_batch_size=64")
DIGITS = ("--dataset=digits", "--image_size=8")


@pytest.fixture(scope="module")
def trained(run_here, tmp_path_factory) -> Path:
    """A run of two steps, with its SavedModel and a probe."""
    folder = tmp_path_factory.mktemp("trained")
    assert run_here(*TINY, "--train_steps=2", f"--model_dir={folder}") == 0
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Forty digits in folders by class; two are the same, one is noise, one no picture."""
    root = tmp_path_factory.mktemp("pictures")
    digits = load_digits()
    for number in range(40):
        folder = root / f"digit {digits.target[number]}"
        folder.mkdir(exist_ok=True)
        pixels = (digits.images[number] * 15).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    shutil.copy(root / "digit 3" / "3.png", root / "digit 0" / "copy.png")
    (root / "digit 1" / "broken.png").write_bytes(b"none")
    return root


def images(size: int = 8) -> np.ndarray:
    """All digits as the network is given them in evaluation."""
    dataset = data.load("digits")
    input_fn = data.eval_input_fn(dataset, split="all", global_batch_size=1797, image_size=size)
    (batch,) = input_fn(tf.distribute.InputContext())
    return batch["image"].numpy()


def table_of(path: Path) -> list[list[str]]:
    """Lines of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.smoke
def test_every_layer_equals_the_served_model(trained: Path, run_here, tmp_path, capsys) -> None:
    served = tf.saved_model.load(str(trained / "saved_model/2"))
    outputs = {
        **{"h": ("embed", "features"), "z": ("project", "projection")},
        "logits": ("classify", "logits"),
    }
    right = {
        layer: served.signatures[signature](tf.constant(images()))[name].numpy()
        for layer, (signature, name) in outputs.items()
    }
    for layer, expected in right.items():
        path = tmp_path / f"{layer}.npy"
        flags = (f"--layer={layer}", f"--output={path}")
        assert run_here(*EMBED, f"--model_dir={trained}", *flags) == 0
        np.testing.assert_allclose(np.load(path), expected, rtol=1e-4, atol=1e-5)
    said = capsys.readouterr().out
    assert f"wrote {tmp_path}/h.npy, {tmp_path}/h.names.csv: 1,797 images, 32 numbers each" in said
    about = json.loads((tmp_path / "z.json").read_text())
    assert (about["layer"], about["split"], about["rows"], about["numbers"]) == (
        "z",
        "all",
        1797,
        8,
    )
    assert about["step"] == 2 and len(about["weights_sha256"]) == 64
    rows = table_of(tmp_path / "h.names.csv")
    labels = np.concatenate([load_digits().target, []]).astype(int)
    assert len(rows) == 1798 and rows[1][0] == "all/0"
    counts = np.bincount([int(row[1]) for row in rows[1:]])
    np.testing.assert_array_equal(counts, np.bincount(labels))
    assert not list(tmp_path.glob("*.parts"))


def test_one_layer_of_the_head_and_a_split(trained: Path, run_here, tmp_path) -> None:
    """Of two layers, the second is z; the first comes before it."""
    found = {}
    for layer in ("0", "h", "1", "2", "z"):
        path = tmp_path / f"{layer}.npy"
        flags = (f"--layer={layer}", f"--output={path}", "--eval_split=test")
        assert run_here(*EMBED, f"--checkpoint={trained}", *DIGITS, *flags) == 0
        found[layer] = np.load(path)
    np.testing.assert_array_equal(found["0"], found["h"])
    np.testing.assert_array_equal(found["2"], found["z"])
    assert found["1"].shape == found["h"].shape == (355, 32) and found["1"].min() == 0
    assert np.abs(found["1"] - found["h"]).max() > 0.01


def test_interrupted_it_goes_on(trained: Path, run_here, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(embedding, "_IMAGES_OF_A_PART", 640)
    whole, path = tmp_path / "whole.npy", tmp_path / "features.npy"
    assert run_here(*EMBED, f"--model_dir={trained}", f"--output={whole}") == 0
    add = Parts.add

    def interrupted(self: Parts, part: object) -> None:
        add(self, part)
        if self.count == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_here(*EMBED, f"--model_dir={trained}", f"--output={path}")
    assert not path.exists() and (tmp_path / "features.npy.parts").is_dir()
    capsys.readouterr()
    assert run_here(*EMBED, f"--model_dir={trained}", f"--output={path}") == 0
    assert "goes on after 1,280 images" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(path), np.load(whole))
    assert not (tmp_path / "features.npy.parts").exists()
    # In other batches parts would end elsewhere: it begins anew.
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_here(*EMBED, f"--model_dir={trained}", f"--output={path}")
    other = ("--mode=embed", "--eval_batch_size=100", f"--model_dir={trained}")
    assert run_here(*other, f"--output={path}") == 0
    assert "goes on after" not in capsys.readouterr().out
    np.testing.assert_allclose(np.load(path), np.load(whole), rtol=1e-5, atol=1e-6)


def test_a_folder_has_names_labels_and_a_projector(
    trained: Path, pictures: Path, run_here, tmp_path
) -> None:
    path = tmp_path / "features.parquet"
    folder = (f"--dataset=folder:{pictures}", "--folder_labels=folders")
    assert run_here(*EMBED, f"--checkpoint={trained}", *folder, f"--output={path}") == 0
    table = parquet.read_table(path)
    names, labels = table["name"].to_pylist(), table["label"].to_pylist()
    files = sorted(str(file.relative_to(pictures)) for file in pictures.rglob("*.png"))
    assert sorted(names) == [name for name in files if not name.endswith("broken.png")]
    assert labels == [name.split("/")[0] for name in names]
    features = dict(zip(names, table["features"].to_pylist()))
    assert features["digit 3/3.png"] == features["digit 0/copy.png"] != features["digit 0/0.png"]
    assert "broken.png" in (tmp_path / "bad_images.txt").read_text()
    projector = tmp_path / "features_projector"
    numbers = np.loadtxt(projector / "features.tsv", delimiter="\t")
    np.testing.assert_allclose(numbers, list(features.values()), rtol=1e-5)
    said = (projector / "metadata.tsv").read_text().splitlines()
    assert said[0] == "name\tlabel" and said[1:] == [f"{n}\t{k}" for n, k in zip(names, labels)]
    config = (projector / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "features.tsv"' in config and "single_image_dim: 32" in config
    with Image.open(projector / "sprite.png") as sprite:
        assert sprite.size == (7 * 32, 6 * 32) or sprite.size == (7 * 32, 7 * 32)
        place = names.index("digit 3/3.png")
        tile = np.asarray(sprite)[32 * (place // 7) :, 32 * (place % 7) :][:32, :32]
    with Image.open(pictures / "digit 3" / "3.png") as picture:
        right = np.asarray(picture.convert("RGB").resize((32, 32), Image.BICUBIC))
    assert np.corrcoef(tile.ravel(), right.ravel())[0, 1] > 0.9


def test_neighbors_doubles_and_outliers(trained: Path, pictures: Path, run_here, tmp_path) -> None:
    out, query = tmp_path / "out", tmp_path / "asked.png"
    shutil.copy(pictures / "digit 7" / "7.png", query)
    flags = (f"--dataset=folder:{pictures}", f"--checkpoint={trained}", f"--output={out}")
    assert run_here("--mode=neighbors", *flags, f"--query={query}") == 0
    found = json.loads((out / "neighbors.json").read_text())
    (asked,) = found["queries"]
    assert asked["query"] == str(query) and len(asked["neighbors"]) == 20
    best = asked["neighbors"][0]
    assert best["picture"] == str(pictures / "digit 7" / "7.png")
    assert best["similarity"] == pytest.approx(1, abs=1e-5)
    rows = table_of(out / "duplicates.csv")
    assert float(rows[1][0]) == pytest.approx(1, abs=1e-5)
    assert set(rows[1][1:]) == {str(pictures / "digit 3/3.png"), str(pictures / "digit 0/copy.png")}
    assert len(table_of(out / "outliers.csv")) == 42
    with Image.open(out / "neighbors.png") as sheet:
        assert sheet.size[0] > 9 * 112
    # A picture of the folder itself is not its own neighbor; another query is asked anew.
    own = pictures / "digit 3" / "3.png"
    assert run_here("--mode=neighbors", *flags, f"--query={own}") == 0
    (asked,) = json.loads((out / "neighbors.json").read_text())["queries"]
    assert asked["query"] == str(own)
    assert asked["neighbors"][0]["picture"] == str(pictures / "digit 0/copy.png")
    assert str(own) not in [neighbor["picture"] for neighbor in asked["neighbors"]]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--mode=embed", "--output=x.npy"], "--mode=embed needs --model_dir, a run, or"),
        (["--mode=embed", "--checkpoint=RUN"], "--mode=embed needs --output, where to write"),
        (["--mode=embed", "--output=x.txt"], "--output=x.txt must end in one of .parquet, .npy"),
        (["--mode=probe", "--layer=z"], "--layer=z does nothing without --mode=embed or"),
        (["--mode=embed", "--query=x.png"], "--query=x.png does nothing without --mode=neighbors"),
        (["--mode=embed", "--checkpoint=RUN", "--output=x.npy", "--layer=5"], "head, which has 2"),
        (["--mode=embed", "--layer=y"], "--layer=y: must be 0 to 64, or h, z, logits"),
        (
            ["--mode=neighbors", "--checkpoint=RUN", "--output=x", "--query=none.png"],
            "--query=none.png does not exist; give a picture",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    flags, said, trained: Path, run_here, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = [flag.replace("RUN", str(trained)) for flag in flags]
    assert run_here(*DIGITS, *flags) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1
    assert not list(tmp_path.glob("x*"))
