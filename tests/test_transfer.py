"""--protocol=transfer: each data set with its splits, its metric and its labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from simclr_tf import data
from simclr_tf.data.several_labels import names_of_several, several_labels
from simclr_tf.evaluation import extract_features

NAMES = ["dark", "bright", "odd"]


class MadeSeveral(tfds.core.GeneratorBasedBuilder):
    """As voc/2007: several labels an image. Image i has color 3 * i, which tells its labels."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        several = tfds.features.Sequence(tfds.features.ClassLabel(names=NAMES))
        features = {"image": tfds.features.Image(shape=(None, None, 3)), "labels": several}
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features, description="Made.")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {name: self._generate_examples(name) for name in ("train", "validation", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in range(40):
            image = np.full((9, 8, 3), 3 * index, np.uint8)
            yield f"{split}{index}", {"image": image, "labels": labels_of(index)}


def labels_of(index: int) -> list[str]:
    names = ["dark"] if index < 20 else ["bright"]
    return [*names, "odd"] if index % 2 else names


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    MadeSeveral(data_dir=folder).download_and_prepare()
    return folder


def test_several_labels_stand_at_their_images(prepared: Path) -> None:
    dataset = data.load("made_several", data_dir=prepared)
    assert names_of_several(dataset) == NAMES
    assert names_of_several(data.load("digits")) is None
    color = lambda images, training: tf.reduce_mean(images, axis=[1, 2])[:, :1]
    features, labels = extract_features(color, dataset, split="train", batch_size=16, image_size=8)
    places = np.rint(features[:, 0] * 255 / 3).astype(int)
    assert sorted(places) == list(range(40)) != places.tolist(), "TFDS shuffles"
    assert (labels == -1).all()
    expected = [[name in labels_of(place) for name in NAMES] for place in places]
    np.testing.assert_array_equal(several_labels(dataset, "train"), expected)


def test_each_data_set_has_its_metric(prepared: Path, run_here, tmp_path: Path, capsys) -> None:
    root = tmp_path / "aircraft"
    for split, count in (("train", 8), ("test", 3)):
        for name, color in (("glider", 40), ("jet", 200)):
            (root / split / name).mkdir(parents=True)
            for index in range(count if name == "jet" else 2):
                picture = Image.new("RGB", (9, 9), (color + index,) * 3)
                picture.save(root / split / name / f"{index}.png")
    names = f"digits,made_several,folder:{root}"
    flags = ["--mode=evaluate", "--protocol=transfer", f"--transfer_datasets={names}"]
    flags += ["--resnet_depth=18", "--width_multiplier=0.0625", "--image_size=8"]
    flags += ["--dataset=digits", "--eval_split=test", f"--data_dir={prepared}"]
    assert run_here(*flags, f"--model_dir={tmp_path / 'found'}") == 0
    rows = json.loads((tmp_path / "found/evaluation.json").read_text())["figures"]
    assert [(row["dataset"], row["metric"], row["labels"]) for row in rows] == [
        ("digits", "top-1", 1442),
        ("made_several", "11-point mAP", 80),
        (f"folder:{root}", "mean per class", 10),
    ]
    assert [row["settings"]["measured on"] for row in rows] == ["test"] * 3
    assert rows[1]["settings"]["chosen on"] == "validation"
    assert rows[1]["settings"]["fitted on"] == "train+validation"
    assert rows[0]["settings"]["chosen on"] == "288 of train"
    assert [row["test_images"] for row in rows] == [355, 40, 5]
    assert all(0.15 < row["value"] <= 1 for row in rows)
    assert "made_several: 11-point mAP" in capsys.readouterr().out


def test_what_cannot_be_had_is_one_line_before_anything_is_encoded(
    prepared: Path, run_here, monkeypatch, capsys, tmp_path: Path
) -> None:
    flags = ["--mode=evaluate", "--protocol=transfer", "--transfer_datasets=digits,no_such"]
    flags += ["--resnet_depth=18", "--width_multiplier=0.0625", "--image_size=8"]
    flags += ["--dataset=digits", "--eval_split=test", f"--data_dir={prepared}"]
    assert run_here(*flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --transfer_datasets=no_such: no such data set")
    assert error.count("\n") == 1
