"""The reference release's weights compute here what they compute there.

Fixtures have the names and shapes that it writes; figures come from its own code. With
SIMCLR_REFERENCE_CHECKOUT, a clone of github.com/google-research/simclr, that code runs here too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.checkpoints import Description, find_weights, restore_parts
from simclr_tf.errors import UserError
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from tests.checkpoints import reference_release
from tests.checkpoints.reference_release import CASES, images_of, value_of
from tests.checkpoints.small import as_module

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/reference_checkpoints.json").read_text())[
    "cases"
]
CHECKOUT = os.environ.get("SIMCLR_REFERENCE_CHECKOUT")


def flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, list[int]]]:
    for name, node in tree.items():
        if isinstance(node, dict):
            yield from flat(node, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", node


def write_tf2(folder: Path, case: str) -> None:
    """A checkpoint with the slots of an optimizer, and a SavedModel, as the reference leaves."""
    variables = {
        path: tf.Variable(value_of(path, shape), trainable="moving" not in path)
        for path, shape in flat(GOLDEN[case]["variables"])
    }
    root = as_module(variables)
    del root.all
    optimizer = tf.Module()
    optimizer.iter = tf.Variable(3, dtype=tf.int64)
    step = tf.Variable(5, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=root.model, optimizer=optimizer, global_step=step)
    checkpoint.save(str(folder / "ckpt"))
    # Keras files what is not trained under a list of its layer's variables.
    root.trainable_variables_list = [v for v in variables.values() if v.trainable]
    for part in (root.model.resnet_model, root.model._projection_head):
        part.keras_api = tf.Module()
        part.keras_api.variables_ = [v for v in variables.values() if not v.trainable]
    tf.saved_model.save(root, str(folder / "saved_model/5"))


def write_tf1(folder: Path, case: str, *, leave_out: str = "none") -> None:
    """A checkpoint of names alone, with slots, and without a `checkpoint` file."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, shape in flat(GOLDEN[case]["variables"]):
            if not name.startswith(leave_out):
                tf.compat.v1.get_variable(name, initializer=value_of(name, shape))
                if not name.endswith(("moving_mean", "moving_variance")):
                    slot = np.full(shape, 7, np.float32)
                    tf.compat.v1.get_variable(f"{name}/Momentum", initializer=slot)
        tf.compat.v1.train.get_or_create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(tf.compat.v1.global_variables())
        saver.save(session, str(folder / "model.ckpt"), global_step=5)
    (folder / "checkpoint").unlink()


def load(path: Path) -> tuple[Network, str, Description]:
    """The network that a command without flags builds for this checkpoint, and what it says."""
    weights = find_weights(str(path))
    description = weights.description
    network = build_plain(description.architecture, description.num_classes)
    return network, restore_parts(network.parts, weights), description


def assert_computes(network: Network, case: str) -> None:
    outputs = network(tf.constant(images_of(CASES[case]["image_size"])))
    for name in ("final_avg_pool", "proj_head_output", "logits_sup"):
        np.testing.assert_allclose(
            outputs[name][0], GOLDEN[case][name], atol=1e-5, rtol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("case", [case for case in GOLDEN if case.startswith("tf2")])
def test_tf2_checkpoints_and_saved_models(case, tmp_path) -> None:
    write_tf2(tmp_path, case)
    count = len(list(flat(GOLDEN[case]["variables"])))
    for path, ignored in ((tmp_path, 3), (tmp_path / "saved_model", 0)):
        network, told, description = load(path)
        counts = f"{count} variables matched, 0 missing, 0 unexpected, 0 mismatched"
        rest = f"; {ignored} of the optimizer and step ignored" if ignored else ""
        assert told.endswith(f"(reference release, TF2): {counts}{rest}")
        assert_computes(network, case)
        architecture = description.architecture
        assert architecture.resnet_depth == CASES[case]["resnet_depth"]
        assert architecture.sk_ratio == CASES[case].get("sk_ratio", 0)
        assert description.image_size == (32 if "cifar" in case else 224)
        assert (architecture.num_proj_layers, architecture.proj_out_dim) == (3, 8)


@pytest.mark.parametrize("case", [case for case in GOLDEN if case.startswith("tf1")])
def test_tf1_checkpoints(case, tmp_path) -> None:
    write_tf1(tmp_path, case)
    network, told, description = load(tmp_path)
    names = [name for name, _ in flat(GOLDEN[case]["variables"])]
    slots = sum("moving" not in name for name in names)
    assert f"{len(names)} variables matched, 0 missing, 0 unexpected, 0 mismatched" in told
    assert told.endswith(f"; {slots + 1} of the optimizer and step ignored")
    assert_computes(network, case)
    assert description.architecture.num_proj_layers == (2 if case == "tf1_r50_v1" else 3)


def test_published_v1_has_no_projection_head(tmp_path) -> None:
    write_tf1(tmp_path, "tf1_r50_v1", leave_out="head_contrastive")
    network, told, description = load(tmp_path / "model.ckpt-5")
    assert description.architecture.proj_head_mode == "none"
    assert "267 variables matched, 0 missing" in told
    outputs = network(tf.constant(images_of(64)))
    for name in ("final_avg_pool", "logits_sup"):
        expected = GOLDEN["tf1_r50_v1"][name]
        np.testing.assert_allclose(outputs[name][0], expected, atol=1e-5, rtol=1e-5)


def test_what_belongs_to_nothing_is_named(tmp_path) -> None:
    GOLDEN["extra"] = {"variables": {**GOLDEN["tf1_r50_v1"]["variables"], "gate": {"w": [3]}}}
    write_tf1(tmp_path, "extra")
    del GOLDEN["extra"]
    with pytest.raises(UserError, match="1 not in this network: gate/w; "):
        load(tmp_path)


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ("base_model/conv2d_52/", "its 52 convolutions and 53 batch normalizations .* make no"),
        ("base_model/batch_normalization_7/beta", "1 missing in the checkpoint: encoder/block_gr"),
    ],
)
def test_what_is_missing_is_named(left_out, words, tmp_path) -> None:
    write_tf1(tmp_path, "tf1_r50_v1", leave_out=left_out)
    with pytest.raises(UserError, match=words):
        load(tmp_path)


@pytest.mark.skipif(not CHECKOUT, reason="SIMCLR_REFERENCE_CHECKOUT names no clone of it")
@pytest.mark.parametrize("case", CASES)
def test_against_the_reference_s_own_code(case, tmp_path) -> None:
    folder = tmp_path / "out"
    script = str(Path(reference_release.__file__))
    done = subprocess.run(
        [sys.executable, script, CHECKOUT, case, str(folder)], capture_output=True, text=True
    )
    assert (folder / "variables.json").exists(), done.stderr
    expected = np.load(folder / "expected.npz")
    for path in [folder, *folder.glob("saved_model")]:
        network, told, _ = load(path)
        assert "0 missing, 0 unexpected, 0 mismatched" in told
        outputs = network(tf.constant(expected["images"]))
        for name in set(expected.files) - {"images"}:
            np.testing.assert_allclose(
                outputs[name], expected[name], atol=1e-5, rtol=1e-5, err_msg=name
            )
    if case in GOLDEN:
        assert json.loads((folder / "variables.json").read_text()) == dict(
            flat(GOLDEN[case]["variables"])
        )
        for name in ("final_avg_pool", "proj_head_output", "logits_sup"):
            np.testing.assert_allclose(expected[name][0], GOLDEN[case][name], atol=2e-5)
