"""Names that shells and TensorFlow take for something else, by the functions that open files."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf import data, files, paths
from simclr_tf.checkpoints import find_weights, restore_parts, variables_by_path
from simclr_tf.convert_pytorch import __main__ as converter
from simclr_tf.data import reading
from simclr_tf.serving import client
from simclr_tf.serving.export import export_saved_model
from simclr_tf.training.network import Network
from tests.checkpoints.small import save, small_network, values_of
from tests.test_paths import DECOMPOSED

NAMES = ("lr[0.1]", "back\\slash", "a*b?", "{x} 'y'", "-lead", "new\nline", DECOMPOSED, "~")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A checkpoint, a SavedModel and a picture."""
    folder = tmp_path_factory.mktemp("made")
    network = small_network()
    save(network, folder / "run")
    described = dataclasses.replace(find_weights(str(folder / "run")).description, step=7)
    export_saved_model(
        network, described, model_dir=str(folder / "run"), export_precision="float32", keep=1
    )
    (folder / "pictures/a").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        pixels = np.full((4, 4, 3), 9, np.uint8)
        (folder / "pictures/a" / name).write_bytes(tf.io.encode_png(pixels).numpy())
    return folder


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.fixture(params=NAMES)
def place(request, made: Path, tmp_path: Path, monkeypatch) -> Path:
    """The working directory of a copy of `made` by an awkward name, and another beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/nowhere")
    for name in (request.param, "ab"):  # a*b? would match another, were it a pattern
        shutil.copytree(made, tmp_path / name)
    return tmp_path / request.param


def test_weights(place: Path, network: Network) -> None:
    expected = values_of(network)
    shutil.copytree(place / "run", place / place.name)
    for source in ("run", "run/ckpt-7", "run/saved_model", "run/saved_model/7", place.name):
        for variable in variables_by_path(network.parts).values():
            variable.assign(tf.zeros_like(variable))
        restore_parts(network.parts, find_weights(f"./{place.name}//{source}/"))
        for path, value in values_of(network).items():
            np.testing.assert_array_equal(value, expected[path], err_msg=path)
    found = find_weights(f"./{place.name}/run/ckpt-7")
    assert os.path.samefile(f"{found.prefix}.index", place / "run/ckpt-7.index")
    for kind in (".index", ".data-00000-of-00001"):
        (place / f"run/ckpt-7{kind}").rename(place / f"run/{place.name}-7{kind}")
    weights = find_weights(f"{place}/run/{place.name}-7")
    assert "0 missing, 0 unexpected, 0 mismatched" in restore_parts(network.parts, weights)


@pytest.mark.parametrize("place", NAMES[:3], indirect=True)
def test_a_saved_model_is_loaded(place: Path) -> None:
    model = tf.saved_model.load(paths.readable(str(place / "run/saved_model/7")))
    picture = (place / "pictures/a/1.png").read_bytes()
    features = model.signatures["serving_default"](tf.constant([picture]))["features"]
    assert np.isfinite(features.numpy()).all()


def test_pictures_and_their_labels(place: Path) -> None:
    (place / "labels.csv").write_text("path,label\na/1.png,x\na/2.png,y\n")
    dataset = data.load(
        f"folder:./{place.name}//pictures/", folder_labels=f"./{place.name}/labels.csv/"
    )
    assert dataset.class_names == ["x", "y"]
    samples = data.sample_images(dataset, split="all", batch_size=2, seed=0)
    assert [float(tf.reduce_max(sample)) for sample, _ in samples] == [9, 9]


def test_prepared_data(place: Path, monkeypatch) -> None:
    prepared = Path(os.environ["TFDS_DATA_DIR"]) / "digits"
    data.load("digits")
    shutil.copytree(prepared, place / "tfds/digits")
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", f"./{place.name}//tfds/")
    for folder in (None, f"./{place.name}/tfds/"):
        dataset = data.load("digits", data_dir=folder)
        assert os.path.samefile(dataset.builder.data_path, place / "tfds/digits/1.0.0")
        assert len(list(reading.read_examples(dataset, "test[:3]"))) == 3


def test_files_and_events(place: Path) -> None:
    folder = str(place / "new")
    tf.io.gfile.makedirs(folder)
    files.write_json(files.join(folder, "x.json"), 1)
    assert files.read_json(files.join(folder, "x.json")) == 1
    with tf.summary.create_file_writer(files.join(folder, "train")).as_default(step=1):
        tf.summary.scalar("a", 1.0)
    assert len(os.listdir(place / "new/train")) == 1


def test_home_of_prepared_data(tmp_path: Path, monkeypatch) -> None:
    """`export TFDS_DATA_DIR="~/data"` leaves ~ to whoever reads it."""
    data.load("digits")
    shutil.copytree(Path(os.environ["TFDS_DATA_DIR"]) / "digits", tmp_path / "data/digits")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", "~/data/")  # read once a process
    assert data.load("digits").builder.data_path.parent.parent == tmp_path / "data"


@pytest.mark.parametrize("place", ["lr[0.1] é"], indirect=True)
def test_conversion(place: Path, capsys) -> None:
    shutil.copy(Path(__file__).parent / "golden/pytorch/lightly_cifar.pt", place / "weights.pt")
    folder = f"./{place.name}/"
    assert converter.main([f"--input={folder}/weights.pt/", f"--output={folder}/new//"]) == 0
    assert f"use it with --checkpoint={place.name}/new\n" in capsys.readouterr().out
    assert find_weights(str(place / "new")).description.train_mode == "pretrain"
    assert converter.main([f"--input={folder}/weights.pt", "--output="]) == 2
    assert capsys.readouterr().err == "error: --output= is empty; give a path\n"


def test_the_client_of_a_server(place: Path, capsys) -> None:
    folder = f"./{place.name}/"
    flags = ["--rest=127.0.0.1:1", "--timeout=0.01", f"--output={folder}/f.npy/"]
    assert client.main([*flags, f"{folder}/pictures/a/1.png"]) == 2
    assert "127.0.0.1:1" in capsys.readouterr().err  # the picture was read
    assert client.main([*flags, f"{folder}/pictures/a/3.png"]) == 2
    assert "3.png: No such file" in capsys.readouterr().err
    assert client.main([*flags, "sur\udce9.png"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err
