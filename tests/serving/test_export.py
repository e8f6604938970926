"""The SavedModel: in a process that knows nothing of simclr_tf, and by its graph."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.serving.export import export_saved_model
from tests.conftest import TINY
from tests.serving.conftest import describe, make_network

pytestmark = pytest.mark.smoke

RELOAD = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
folder = sys.argv[1]
model = tf.saved_model.load(folder + "/saved_model/2")
contents = tf.constant([open(f"{folder}/{name}", "rb").read() for name in ("a.png", "b.jpg")])
pixels = tf.constant(np.load(folder + "/pixels.npy"))
results = {"bytes_" + k: v for k, v in model.signatures["serving_default"](contents).items()}
for name in ("embed", "project", "classify"):
    results.update({f"{name}_{k}": v for k, v in model.signatures[name](pixels).items()})
results.update({"call_" + k: v for k, v in model(pixels, trainable=False).items()})
np.savez(folder + "/reloaded.npz", **{k: v.numpy() for k, v in results.items()})
with tf.GradientTape() as tape:
    outputs = model(pixels, trainable=True)
    loss = sum(tf.reduce_sum(outputs[k] ** 2) for k in ("logits_sup", "proj_head_output"))
gradients = tape.gradient(loss, model.trainable_variables_list)
assert len(gradients) > 60 and all(g is not None for g in gradients), len(gradients)
assert not any(name.startswith(("simclr_tf", "keras_cv")) for name in sys.modules)
"""


@pytest.fixture(scope="module")
def folder(run_here, tmp_path_factory) -> Path:
    """A run of two steps with two image files beside it."""
    folder = tmp_path_factory.mktemp("run")
    assert run_here(*TINY, "--train_steps=2", f"--model_dir={folder}") == 0
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (8, 8, 1), dtype=np.uint8)
    color = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    (folder / "a.png").write_bytes(tf.io.encode_png(gray).numpy())
    (folder / "b.jpg").write_bytes(tf.io.encode_jpeg(color).numpy())
    np.save(folder / "pixels.npy", rng.uniform(size=(3, 8, 8, 3)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def reloaded(folder: Path) -> dict[str, np.ndarray]:
    """What a new process that imports TensorFlow only gets from the SavedModel."""
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "reloaded.npz"))


@pytest.fixture(scope="module")
def network(folder: Path):
    """The network of the run's checkpoint, rebuilt from its description."""
    from simclr_tf.checkpoints import find_weights, restore_parts
    from simclr_tf.training.build import build_plain

    weights = find_weights(str(folder))
    network = build_plain(weights.description.architecture, num_classes=10)
    restore_parts(network.parts, weights)
    return network


def test_reloaded_equals_trained(folder, reloaded, network) -> None:
    outputs = network(np.load(folder / "pixels.npy"), training=False)
    names = {"initial_conv", "initial_max_pool", "final_avg_pool", "logits_sup"}
    names |= {f"block_group{i}" for i in range(1, 5)} | {"proj_head_input", "proj_head_output"}
    assert outputs.keys() == names
    for name in names:
        np.testing.assert_allclose(reloaded[f"call_{name}"], outputs[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(reloaded["embed_features"], outputs["final_avg_pool"], atol=1e-6)
    np.testing.assert_allclose(
        reloaded["project_projection"], outputs["proj_head_output"], atol=1e-6
    )
    np.testing.assert_allclose(reloaded["classify_logits"], outputs["logits_sup"], atol=1e-6)
    np.testing.assert_allclose(reloaded["classify_probabilities"].sum(axis=1), 1, atol=1e-6)
    assert np.ptp(reloaded["embed_features"], axis=0).max() > 1e-4


def test_bytes_go_through_evaluation_preprocessing(folder, reloaded, network) -> None:
    from simclr_tf import data

    for row, name in enumerate(("a.png", "b.jpg")):
        decoded = tf.io.decode_image((folder / name).read_bytes(), channels=3)
        image = data.preprocess_for_eval(decoded, 8)[tf.newaxis]
        outputs = network(image, training=False)
        np.testing.assert_allclose(
            reloaded["bytes_features"][row], outputs["final_avg_pool"][0], atol=1e-6
        )
        np.testing.assert_allclose(
            reloaded["bytes_logits"][row], outputs["logits_sup"][0], atol=1e-6
        )


def test_graph_has_neither_python_functions_nor_custom_ops(folder) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model/2/saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    ops = {node.op for node in graph.node}
    ops |= {node.op for function in graph.library.function for node in function.node_def}
    functions = {function.signature.name for function in graph.library.function}
    assert not {op for op in ops if "PyFunc" in op or "Collective" in op}
    known = set(dir(tf.raw_ops))
    assert {op for op in ops if op not in known and op not in functions} == set()
    assert not (folder / "saved_model/2/keras_metadata.pb").exists()


def test_versions_are_pruned_and_described(run, tmp_path) -> None:
    flags = ["--keep_hub_module_max=2", f"--model_dir={tmp_path}"]
    for step in (1, 2, 3):
        (tmp_path / f"saved_model/{step}").mkdir(parents=True)
        (tmp_path / f"saved_model/{step}/saved_model.pb").touch()
        os.utime(tmp_path / f"saved_model/{step}/saved_model.pb", (0, 0))
    assert run(*flags, "--train_steps=4") == 0
    assert sorted(p.name for p in (tmp_path / "saved_model").iterdir()) == ["3", "4"]
    described = json.loads((tmp_path / "saved_model/4/assets.extra/simclr.json").read_text())
    assert described["step"] == 4
    assert described["class_names"] == [str(digit) for digit in range(10)]
    assert described["architecture"]["width_multiplier"] == 0.0625
    assert described["preprocessing"] == {
        **{"image_size": 8, "value_range": [0.0, 1.0]},
        **{"central_crop": 1.0, "resize": "bicubic"},
        "pixel_rule": {"alpha_background": [255, 255, 255], "range_16": None},
    }
    assert described["versions"]["tensorflow"] == tf.__version__
    config = (tmp_path / "config.json").read_bytes()
    assert described["configuration_sha256"] == hashlib.sha256(config).hexdigest()
    assert not list(tmp_path.glob("*.tmp"))

    # The same again: nothing is touched. In another precision: another version.
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "saved_model").rglob("*"))
    (tmp_path / "serving/models.config").write_text("mine")
    assert run(*flags, "--train_steps=4") == 0
    assert before == sorted(
        (p, p.stat().st_mtime_ns) for p in (tmp_path / "saved_model").rglob("*")
    )
    assert (tmp_path / "serving/models.config").read_text() == "mine"
    assert run(*flags, "--train_steps=4", "--export_precision=bfloat16") == 0
    described = json.loads((tmp_path / "saved_model/5/assets.extra/simclr.json").read_text())
    assert (described["step"], described["export_precision"]) == (4, "bfloat16")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("variables/variables.data*"))


def test_bfloat16_halves_the_file_and_keeps_the_features(exported) -> None:
    whole, half = exported["float32"], exported["bfloat16"]
    kernels = sum(v.shape.num_elements() for v in whole.network.variables if v.shape.rank > 1)
    rest = sum(v.shape.num_elements() for v in whole.network.variables if v.shape.rank < 2)
    saved = _size(whole.folder) - _size(half.folder)
    assert saved == pytest.approx(2 * kernels, rel=0.05)  # and the graph
    assert kernels > 10 * rest  # more so in networks of usual width
    images = tf.random.stateless_uniform([16, 40, 40, 3], seed=[1, 2])
    expected, given = (
        tf.saved_model.load(str(model.folder)).signatures["embed"](images)["features"].numpy()
        for model in (whole, half)
    )
    error = np.linalg.norm(given - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert 1e-5 < error.max() < 0.01


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_goes_on_from_either_precision(exported, precision) -> None:
    from simclr_tf.checkpoints import find_weights, restore_parts, variables_by_path

    original = exported[precision].network
    network = make_network(exported[precision].description, seed=1)
    restore_parts(network.parts, find_weights(str(exported[precision].folder)))
    values = variables_by_path(original.parts)
    for path, variable in variables_by_path(network.parts).items():
        expected = values[path].read_value()
        if precision == "bfloat16" and expected.shape.rank > 1:
            expected = tf.cast(tf.cast(expected, tf.bfloat16), tf.float32)
        assert variable.dtype == tf.float32
        np.testing.assert_array_equal(variable, expected, err_msg=path)


def test_a_network_without_labels_has_no_classifier(tmp_path) -> None:
    from simclr_tf.training.build import build_plain

    description = dataclasses.replace(describe(8, num_classes=None), step=3)
    network = build_plain(description.architecture, num_classes=None)
    folder = export_saved_model(
        network, description, model_dir=str(tmp_path), export_precision="float32", keep=0
    )
    signatures = tf.saved_model.load(folder).signatures
    assert set(signatures) == {"serving_default", "embed", "project"}
    picture = tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8))
    assert signatures["serving_default"](picture[tf.newaxis]).keys() == {"features"}
