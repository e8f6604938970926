"""Data sets by name: what they tell about themselves, and one clear line when there is none."""

from __future__ import annotations

import io
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from simclr_tf import data
from simclr_tf.data import digits, preparation
from simclr_tf.errors import SettingError, print_error


def fail(name: str, data_dir: os.PathLike[str]) -> str:
    """Returns what a command prints of the error that loading raises, quickly and on one line."""
    start = time.monotonic()
    with pytest.raises(SettingError) as caught:
        data.load(name, data_dir=data_dir)
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)
    assert (caught.value.field, caught.value.value) == ("dataset", name or None)
    return printed(caught.value)


def printed(error: Exception) -> str:
    """Returns the line that a command prints."""
    file = io.StringIO()
    assert print_error(error, file) == 2
    return file.getvalue().removesuffix("\n")


@pytest.fixture
def offline(monkeypatch):
    """A network on which every host is out of reach."""

    def get(session, url, **kwargs):
        assert kwargs["timeout"], "TFDS would wait for ever"
        raise requests.exceptions.ConnectionError(
            "Max retries\nexceeded", request=requests.Request("GET", url)
        )

    monkeypatch.setattr(requests.Session, "get", get)


def test_attributes(load_made):
    varied = load_made("made_varied")
    assert (varied.name, varied.num_classes) == ("made_varied", 40)
    assert varied.image_shape == (None, None, 3)
    assert not varied.has_static_size
    assert load_made("made_varied_gray").num_classes is None
    files = load_made("made_files")
    assert files.image_shape == (4, 6, 1)
    assert files.has_static_size
    assert files.splits == {"train": 37}


def test_labels_are_looked_for(load_made):
    """Two labels tell that there are some; a split without is read to its end, or to 1,000."""
    dataset = load_made("made_partly")
    labeled, bare = dataset.sample_labels("train+unlabelled")
    assert (labeled.part, labeled.total, len(set(labeled.labels))) == ("train", 12, 2)
    assert 2 <= len(labeled.labels) < 12
    assert (bare.part, bare.whole, set(bare.labels), len(bare.labels)) == (
        *("unlabelled", True, {-1}, 40),
    )
    assert bare.describe() == "none of the 40 images of unlabelled has a label"
    assert [sample.part for sample in dataset.sample_labels("all")] == list(dataset.splits)
    for split in ("train", "train + unlabelled", "unlabelled[:3]+same+train[:9]"):
        dataset.check_labels(split, classes=2)
    for split, classes, reason in [
        ("unlabelled", 1, "none of the 40 images has a class label"),
        ("same", 2, "all labels are of one class, 2,"),
        ("unlabelled+same", 2, "all labels are of one class, 2,"),
    ]:
        with pytest.raises(SettingError, match=f"eval_split={split.replace('+', '.')}`: {reason}"):
            dataset.check_labels(split, field="eval_split", classes=classes)
    dataset.check_labels("same", classes=1)


def test_classes_get_the_numbers_that_a_network_gave_them(load_made):
    dataset = load_made("made_partly")
    names = [str(number) for number in (7, *range(39, 7, -1), *range(7))]
    other = dataset.labels_as(names)
    assert other.class_names == names
    for split in ("train", "unlabelled"):
        labels = [
            [int(e["label"]) for e in d.read(split, shard=(1, 0), by_file=False, file_seed=None)]
            for d in (dataset, other)
        ]
        expected = [names.index(str(label)) if label >= 0 else -1 for label in labels[0]]
        assert labels[1] == expected != [], split
    assert set(labels[1]) == {-1}


@pytest.mark.parametrize(
    ("split", "count"),
    [("train", 1442), ("test", 355), ("train+test", 1797), ("all", 1797), ("train[:10%]", 144),
     ("train[5%:]+test", 1725), ("test[-3:]", 3)],
)  # fmt: skip
def test_splits(load_made, split, count):
    dataset = load_made("digits")
    dataset.check_split(split)
    assert dataset.num_examples(split) == count


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ("trian", "Unknown split 'trian'"),
        ("train+validation", "Unknown split 'validation'"),
        ("train[:10", "Unrecognized split format"),
        ("", "Unrecognized split format"),
        ("train[9999:]", "incompatible with 1442 examples"),
        ("train[:200%]", "percent"),
        ("train[:0%]", "selects no examples"),
        ("train[5%:3%]", "selects no examples"),
    ],
)
def test_bad_splits(load_made, split, reason):
    with pytest.raises(SettingError) as caught:
        load_made("digits").check_split(split, field="eval_split")
    message = str(caught.value)
    assert (caught.value.field, caught.value.value) == ("eval_split", split)
    assert message.startswith(f"`eval_split={split}`")
    assert reason in message
    assert message.endswith("digits has train (1,442), test (355)")
    assert "\n" not in message


def test_bad_split_in_num_examples(load_made):
    with pytest.raises(SettingError, match="trian"):
        load_made("digits").num_examples("trian")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cifar1O", ["did you mean cifar10", "--data_dir=<folder that holds cifar1o/>"]),
        ("fashion-mnst", ["fashion_mnist"]),
        ("xyzzyqqq", ["no such data set", "--data_dir"]),
        ("a b", ["no such data set"]),
        ("", ["--dataset is empty"]),
        ("huggingface:mnist", ["namespace", "--data_dir"]),
        ("cifar10:9.9.9", ["cannot be loaded at version 9.9.9", "3.0.2"]),
        ("cifar10_corrupted/nope", ["nope"]),
        ("imdb_reviews", ["no 'image' feature", "cifar10"]),
        (
            "imagenet2012",
            ["by hand", "ILSVRC2012_img_train.tar", "<folder that holds imagenet2012/>"],
        ),
    ],
)
def test_bad_names(tmp_path, name, parts):
    message = fail(name, tmp_path)
    for part in parts:
        assert part in message
    assert not list(tmp_path.iterdir())


def test_no_network(tmp_path, offline, capfd):
    message = fail("cifar10", tmp_path)
    assert "no download from https://www.cs.toronto.edu" in message
    assert message.endswith("give --data_dir=<folder that holds cifar10/>")
    assert capfd.readouterr() == ("", "")


def test_unwritable_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    assert "--data_dir=<folder that holds digits/" in fail("digits", tmp_path / "file" / "below")
    # The tests may run as root, whom no mode bits stop.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written to" in fail("digits", tmp_path)


def test_missing_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation.importlib.util, "find_spec", lambda name: None)
    assert "pip install scikit-learn" in fail("digits", tmp_path)


def test_folder_that_is_no_data_set(tmp_path):
    (tmp_path / "digits" / "1.0.0").mkdir(parents=True)
    assert "holds no prepared data set" in fail("digits", tmp_path)


def test_missing_file(tmp_path, data_dir):
    shutil.copytree(data_dir / "digits", tmp_path / "digits")
    next(tmp_path.glob("digits/*/*train*")).unlink()
    dataset = data.load("digits", data_dir=tmp_path)
    dataset.check_split("test")
    with pytest.raises(
        SettingError, match="digits-train.* is missing from .*copy the folder again"
    ):
        dataset.check_split("train")


def test_data_of_another_version(tmp_path, data_dir, monkeypatch):
    shutil.copytree(data_dir / "made_files", tmp_path / "made_files")
    (tmp_path / "made_files" / "1.0.0").rename(tmp_path / "made_files" / "0.9.0")
    info = tmp_path / "made_files" / "0.9.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("1.0.0", "0.9.0"))
    assert data.load("made_files", data_dir=tmp_path).num_examples("train") == 37
    assert os.listdir(tmp_path / "made_files") == ["0.9.0"]


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "default"))
    data.load("digits")
    assert (tmp_path / "default" / "digits").is_dir()


def test_preparing_is_silent_and_reading_writes_nothing(tmp_path, capfd):
    data.load("digits", data_dir=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")}
    data.load("digits", data_dir=str(tmp_path)).check_split("train")
    assert {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")} == before
    assert capfd.readouterr() == ("", "")


def test_two_processes_prepare_at_once(tmp_path, monkeypatch):
    generate = digits.Digits._split_generators
    others = []

    def overtaken(builder, dl_manager):
        if not others:  # While this one is at work, another one finishes.
            others.append(digits.Digits(data_dir=str(tmp_path)))
            others[0].download_and_prepare()
        return generate(builder, dl_manager)

    monkeypatch.setattr(digits.Digits, "_split_generators", overtaken)
    dataset = data.load("digits", data_dir=tmp_path)
    assert others
    assert dataset.num_examples("train") == 1442
    labels = [int(e["label"]) for e in dataset.builder.as_dataset(split="test")]
    assert np.bincount(labels).min() > 30
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["1.0.0"]


def test_fashion_mnist(fashion_dir):
    dataset = data.load("fashion_mnist", data_dir=fashion_dir)
    assert (dataset.num_classes, dataset.image_shape) == (10, (28, 28, 1))
    assert dataset.splits == {"train": 60_000, "test": 10_000}
