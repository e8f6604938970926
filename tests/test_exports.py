"""--mode=export: a run's network, or a SavedModel's, in every format, beside the SavedModel."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.serving import formats
from tests.conftest import TINY

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def finished(run_here, tmp_path_factory) -> Path:
    """A run of two steps whose classifier reads a layer of the projection head."""
    folder = tmp_path_factory.mktemp("finished")
    given = ["--train_mode=finetune", "--ft_proj_selector=1", "--train_steps=2"]
    assert run_here(*TINY, *given, f"--model_dir={folder}") == 0
    return folder


@pytest.fixture
def export(run):
    def call(*flags: object) -> int:
        return run("--mode=export", *flags, tiny=False)

    return call


@pytest.fixture(scope="module")
def answered(finished: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images, and what the SavedModel of training answers to them."""
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 3)).astype(np.float32)
    saved = tf.saved_model.load(str(finished / "saved_model" / "2"))
    outputs = {
        **saved.signatures["embed"](tf.constant(images)),
        **saved.signatures["classify"](tf.constant(images)),
    }
    return images, {name: value.numpy() for name, value in outputs.items()}


OPENVINO = """
import sys
import numpy as np, openvino
images = np.load(sys.argv[2])
settings = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.compile_model(openvino.Core().read_model(sys.argv[1]), "CPU", settings)
one, all_ = model(images[:1]), model(images)
names = [next(iter(output.names)) for output in model.outputs]
np.savez(sys.argv[3], one=one["features"], **{name: all_[name] for name in names})
"""


@pytest.mark.skipif("OPENVINO_PYTHON" not in os.environ, reason="OPENVINO_PYTHON is not set")
def test_openvino_reads_the_onnx_file(export, finished, answered, tmp_path) -> None:
    """An engine that nobody here wrote, whose model server speaks TensorFlow Serving's API."""
    assert export(f"--checkpoint={finished}", "--format=onnx", f"--model_dir={tmp_path}") == 0
    images, expected = answered
    np.save(tmp_path / "images.npy", images)
    files = [tmp_path / "export/resnet18-2.onnx", tmp_path / "images.npy", tmp_path / "found.npz"]
    command = [os.environ["OPENVINO_PYTHON"], "-c", OPENVINO, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    assert set(found) == {*expected, "one"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(found["one"], expected["features"][:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_file_answers_as_the_saved_model(export, finished, answered, name, capfd) -> None:
    assert export(f"--checkpoint={finished}", f"--format={name}") == 0
    printed = capfd.readouterr()
    path = finished / "export" / f"resnet18-2.{name}"
    assert sorted(p.name for p in path.parent.iterdir() if p.suffix != ".json") == [
        p for p in ("resnet18-2.onnx", "resnet18-2.tflite") if (path.parent / p).exists()
    ]
    images, expected = answered
    found = formats.FORMATS[name].run(path.read_bytes(), images)
    assert found.keys() == expected.keys()
    for output, value in expected.items():
        np.testing.assert_allclose(found[output], value, rtol=1e-4, atol=1e-6, err_msg=output)
    assert printed.err == ""
    assert "images, float32 [batch, 8, 8, 3], RGB in [0, 1]" in printed.out
    assert "features [batch, 32], logits [batch, 10], probabilities [batch, 10]" in printed.out
    assert str(path) in printed.out and "4 images" in printed.out
    described = json.loads(path.with_suffix(".json").read_text())
    saved = finished / "saved_model" / "2" / "assets.extra" / "simclr.json"
    assert described.pop("files") == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    stored = json.loads(saved.read_text())
    assert {"saved_model.pb", "variables/variables.index"} < stored.pop("files").keys()
    assert described == stored


def test_a_run_that_has_this_saved_model_keeps_it(export, finished: Path, capsys) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "saved_model").rglob("*")}
    assert export(f"--checkpoint={finished}/ckpt-2") == 0
    assert "RGB in [0, 1] (classify, embed, project)" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (finished / "saved_model").rglob("*")} == before


def test_signatures_of_a_network_without_classifier(export, run, tmp_path, capsys) -> None:
    flags = ["--nolineareval_while_pretraining", "--train_steps=1", f"--model_dir={tmp_path}"]
    assert run(*flags, export=False) == 0
    assert export(f"--checkpoint={tmp_path}/ckpt-1") == 0
    printed = capsys.readouterr().out
    assert "RGB in [0, 1] (embed, project)" in printed and "logits" not in printed


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_saved_model_of_a_saved_model(export, finished, answered, precision, tmp_path) -> None:
    out = tmp_path / "out"
    given = f"--checkpoint={finished}/saved_model/2", f"--export_precision={precision}"
    assert export(*given, f"--model_dir={out}") == 0
    images, expected = answered
    saved = tf.saved_model.load(str(out / "saved_model" / "2"))
    found = saved.signatures["embed"](tf.constant(images))["features"]
    share = {"float32": 1e-6, "bfloat16": 5e-2}[precision] * np.max(expected["features"])
    np.testing.assert_allclose(found, expected["features"], rtol=0, atol=share)
    assert (out / "serving" / "models.config").exists()


def test_what_lies_in_no_run_gets_a_folder_under_runs(export, finished, tmp_path, monkeypatch):
    shutil.copytree(finished / "saved_model" / "2", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert export("--checkpoint=mine", "--format=tflite") == 0
    (path,) = tmp_path.glob("runs/export_resnet18_*/export/*.tflite")
    assert path.name == "resnet18-2.tflite"


def test_a_file_that_computes_something_else_is_not_kept(
    export, finished, tmp_path, monkeypatch, capsys
) -> None:
    def convert(function, network) -> bytes:
        network.encoder.stem.layers[0].kernel.assign_add(
            0.01 * tf.ones_like(network.encoder.stem.layers[0].kernel)
        )
        return formats.FORMATS["onnx"].convert(function, network)

    wrong = dataclasses.replace(formats.FORMATS["onnx"], convert=convert)
    monkeypatch.setitem(formats.FORMATS, "tflite", wrong)
    out = tmp_path / "out"
    assert export(f"--checkpoint={finished}", "--format=tflite", f"--model_dir={out}") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --format=tflite") and error.count("\n") == 1
    assert "features differ" in error
    assert not out.exists()


def test_without_its_packages_onnx_says_what_to_install(
    export, finished, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    out = tmp_path / "out"
    assert export(f"--checkpoint={finished}", "--format=onnx", f"--model_dir={out}") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "needs tf2onnx" in error and "requirements-onnx.txt" in error
    assert export(f"--checkpoint={finished}", "--format=tflite", f"--model_dir={out}") == 0


def test_another_run_s_folder_is_left_alone(export, finished, tmp_path, capsys) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert export(f"--checkpoint={finished}", f"--model_dir={tmp_path}") == 2
    assert "another run" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]
