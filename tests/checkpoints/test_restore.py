"""Weights found by every kind of path, restored whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.checkpoints import Description, find_weights, restore_parts, variables_by_path
from simclr_tf.errors import UserError
from simclr_tf.pixel_rule import BEFORE
from simclr_tf.training.build import build_plain
from tests.checkpoints.small import as_module, save, small_architecture, small_network, values_of

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """ckpt-7 of a run."""
    return save(small_network(), tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path], err_msg=path)


def test_all_of_what_is_asked_for_and_nothing_else(saved) -> None:
    network = small_network(seed="other")
    before, stored = values_of(network), values_of(small_network())
    encoder = {"encoder": network.encoder}
    told = restore_parts(encoder, find_weights(f"{saved}/ckpt-7"))
    after = values_of(network)
    for path, value in after.items():
        expected = stored if path.startswith("encoder/") else before
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
    assert told == (
        f"encoder from {saved}/ckpt-7 (simclr_tf): 105 variables matched, 0 missing, "
        "0 unexpected, 0 mismatched"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_and_nothing_is_set(value, tmp_path) -> None:
    """Nobody should evaluate, fine-tune or export them."""
    broken = small_network()
    bias = broken.supervised_head.dense.bias
    bias.assign([0.0, value, 0.0])
    save(broken, tmp_path)
    weights = find_weights(f"{tmp_path}/ckpt-7")
    network = small_network(seed="other")
    before = values_of(network)
    with pytest.raises(UserError, match=r"ckpt-7 holds .* no numbers \(supervised_head/.*earlier"):
        restore_parts(network.parts, weights)
    assert_equal(values_of(network), before)
    restore_parts({"encoder": network.encoder}, weights)


def test_a_run_s_folder_is_its_latest_checkpoint(saved) -> None:
    weights = find_weights(f"{saved}/")
    assert weights.prefix == f"{saved}/ckpt-7"
    assert (weights.description.num_classes, weights.description.projection_selector) == (3, 0)


@pytest.mark.parametrize("state", [None, 'model_checkpoint_path: "/cns/not/here-9"', "\xff{"])
def test_most_steps_without_a_usable_checkpoint_file(state, folder) -> None:
    for name in ("ckpt-7.index", "ckpt-7.data-00000-of-00001"):
        shutil.copy(folder / name, folder / name.replace("7", "10"))
    (folder / "checkpoint").unlink()
    if state is not None:
        (folder / "checkpoint").write_bytes(state.encode("latin-1"))
    assert find_weights(str(folder)).prefix == f"{folder}/ckpt-10"


def test_newest_saved_model_by_number_not_by_name(folder, tmp_path) -> None:
    for version in ("9", "10"):
        network = small_network(seed=version)
        target = tmp_path / "saved_model" / version
        tf.saved_model.save(as_module(variables_by_path(network.parts)), str(target))
        (target / "assets.extra").mkdir()
        shutil.copy(folder / "simclr.json", target / "assets.extra")
    for path in (tmp_path, tmp_path / "saved_model", tmp_path / "saved_model/10"):
        weights = find_weights(str(path))
        network = small_network(seed="other")
        restore_parts(network.parts, weights)
        assert_equal(values_of(network), values_of(small_network(seed="10")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"resnet_depth": 34},
            [
                "80 missing in the checkpoint: encoder/block_groups/0/blocks/2/conv1/kernel, ",
                ", or add `allow_partial_checkpoint`",
            ],
        ),
        (
            {"width_multiplier": 1 / 16},
            ["112 of another shape: encoder/block_groups/0/blocks/0/conv1/kernel [3, 3, 2, 2] "],
        ),
        (
            {"classes": 5},
            [
                "2 of another shape: supervised_head/dense/bias [3] there, [5] here, "
                "supervised_head/dense/kernel [16, 3] there, [16, 5] here; give another"
            ],
        ),
        (
            {"num_proj_layers": 1},
            ["5 not in this network: projection_head/layers/0/norm/beta, ", "; 4 of another"],
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_set(changes, words, saved) -> None:
    network = small_network(seed="other", **changes)
    before = values_of(network)
    with pytest.raises(UserError) as error:
        restore_parts(network.parts, find_weights(str(saved)))
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)
    assert_equal(values_of(network), before)


def test_partial_takes_what_fits_and_lists_the_rest(saved) -> None:
    network = small_network(seed="other", classes=5, num_proj_layers=3)
    before, stored = values_of(network), values_of(small_network())
    told = restore_parts(network.parts, find_weights(str(saved)), allow_partial=True).splitlines()
    left = {
        path: value
        for path, value in values_of(network).items()
        if path not in stored or stored[path].shape != value.shape
    }
    assert_equal(left, {path: before[path] for path in left})
    for path, value in values_of(network).items():
        if path not in left:
            np.testing.assert_array_equal(value, stored[path], err_msg=path)
    assert len(left) == 2 + 4 + 5  # the classifier; the projection head's second and third layer
    assert told[0].endswith("110 variables matched, 5 missing, 0 unexpected, 6 mismatched")
    assert all(sum(f" {path}" in line for line in told[1:]) == 1 for path in left)


def test_partial_needs_a_variable_of_the_encoder(saved) -> None:
    network = small_network(seed="other", width_multiplier=1 / 16)
    network.encoder.stem.norm = None  # nothing but shapes that differ is left
    weights = find_weights(str(saved))
    with pytest.raises(UserError, match="does not fit this network") as error:
        restore_parts(network.parts, weights, allow_partial=True)
    assert "allow_partial_checkpoint" not in str(error.value)


@pytest.mark.parametrize(
    "damage", ["flipped bit", "cut short", "no index", "short index", "footer"]
)
def test_damaged_file_is_an_error_and_nothing_is_set(damage, folder) -> None:
    data, index = folder / "ckpt-7.data-00000-of-00001", folder / "ckpt-7.index"
    content, table = bytearray(data.read_bytes()), bytearray(index.read_bytes())
    if damage == "flipped bit":
        content[100] ^= 1
    elif damage == "cut short":
        content = content[:8]
    elif damage == "no index":
        table = bytearray(b"not an index, but long enough to look as if it could be one" * 2)
    elif damage == "short index":
        table = table[:20]
    else:  # a block of 2^60 bytes, which TensorFlow would allocate
        table[-48:-38] = b"\x00" + b"\xff" * 8 + b"\x0f"
    data.write_bytes(content)
    index.write_bytes(table)
    network = small_network(seed="other")
    before = values_of(network)
    with pytest.raises(UserError, match="cannot be read") as error:
        restore_parts(network.parts, find_weights(f"{folder}/ckpt-7"))
    assert "\n" not in str(error.value)
    assert_equal(values_of(network), before)


def test_paths_that_hold_no_weights(saved, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, words in {
        empty: "holds no checkpoint or SavedModel",
        saved / "ckpt-8": "does not exist",
    }.items():
        with pytest.raises(UserError, match=words):
            find_weights(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no simclr.json beside it, .* and is not of the reference release either"),
        ("{", "is not valid JSON"),
        ("[]", "has format None"),
        ('{"format": 99}', "has format 99, this version of simclr_tf reads formats 1 to 4"),
        ('{"format": 2}', "says resnet_depth=nothing, which cannot be"),
        ({"resnet_depth": 34}, r"says resnet_depth=34, the checkpoint has 18 \(encoder/block_gro"),
        ({"width_multiplier": 90.5}, r"says width_multiplier=90.5, .* 0.03125 \(encoder/stem/lay"),
        ({"width_multiplier": 1e30}, "says width_multiplier=1e[+]30, which cannot be"),
        ({"num_proj_layers": 9}, "a projection head of 9 layers, the checkpoint has 2"),
        ({"proj_out_dim": 128}, "says proj_out_dim=128, the checkpoint has 4"),
        ({"sk_ratio": 1.5}, "says sk_ratio=1.5, which cannot be"),
        ({"cifar_stem": False}, "says cifar_stem=False, the checkpoint has True"),
        ({"stem_relu": "yes"}, "says stem_relu=yes, which cannot be"),
        ({"torch_normalization": [0, 0, 0, 1, 1]}, "says torch_normalization="),
        ({"num_proj_layers": 10**400}, "says num_proj_layers=10*, which cannot be"),
    ],
)
def test_weights_that_do_not_say_what_they_are(content, words, folder) -> None:
    path = folder / "simclr.json"
    if isinstance(content, dict):
        stored = json.loads(path.read_text())
        stored["architecture"] |= content
        content = json.dumps(stored)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=words):
        find_weights(str(folder))


@pytest.mark.smoke
def test_format_1_still_loads() -> None:
    """A run of simclr_tf 0.1 on the bundled digits; what it computed then."""
    weights = find_weights(str(GOLDEN / "format_1"))
    assert weights.description == Description(
        small_architecture(width_multiplier=1 / 64),
        image_size=8,
        train_mode="pretrain",
        num_classes=10,
        dataset="digits",
        pixel_rule=BEFORE,
    )
    assert weights.description.architecture.torch_normalization is None
    assert weights.description.to_json()["format"] == 4
    network = small_network(classes=10, width_multiplier=1 / 64)
    told = restore_parts(network.parts, weights)
    assert "116 variables matched, 0 missing, 0 unexpected, 0 mismatched" in told
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    outputs = network(images)
    features = [0.047725, 0.019406, 0.121086, 0.022547, 0, 0.108643, 0, 0.025119]
    np.testing.assert_allclose(outputs["final_avg_pool"][0], features, atol=1e-6)
    projection = [-0.060884, 2.077762, -0.142354, 0.729255]
    np.testing.assert_allclose(outputs["proj_head_output"][0], projection, atol=2e-6)


@pytest.mark.smoke
def test_format_2_still_loads() -> None:
    """A fine-tuned run of simclr_tf 0.1, whose classifier reads a layer of the projection head."""
    weights = find_weights(str(GOLDEN / "format_2"))
    description = weights.description
    assert description == Description(
        small_architecture(width_multiplier=1 / 64),
        image_size=8,
        train_mode="finetune",
        num_classes=10,
        projection_selector=1,
        dataset="digits",
        pixel_rule=BEFORE,
    )
    network = build_plain(description.architecture, 10, projection_selector=1)
    told = restore_parts(network.parts, weights)
    assert "116 variables matched, 0 missing, 0 unexpected, 0 mismatched" in told
    outputs = network(np.random.default_rng(0).random((2, 8, 8, 3), np.float32))
    features = [0, 0.012966, 0, 8.2796e-06, 0.03843, 0.060988, 0.051611, 0.077941]
    np.testing.assert_allclose(outputs["final_avg_pool"][0], features, rtol=1e-3, atol=1e-7)
    projection = [6.7486e-06, 4.4347e-05, 3.6202e-05, 2.928e-05]
    np.testing.assert_allclose(outputs["proj_head_output"][0], projection, rtol=1e-3)
    logits = [-0.0011911, -0.00047858, -0.00041153, -0.00043938, 0.00030959, 0.0010472]
    np.testing.assert_allclose(outputs["logits_sup"][0, :6], logits, rtol=1e-3)
