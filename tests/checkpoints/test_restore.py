"""Weights found by every kind of path, restored whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.checkpoints import find_source, restore_parts
from simclr_tf.errors import UserError


def dense(units: int, *, seed: int = 0, inputs: int = 3) -> tf.keras.layers.Dense:
    layer = tf.keras.layers.Dense(
        units, kernel_initializer=tf.keras.initializers.RandomNormal(seed=seed)
    )
    layer.build([None, inputs])
    return layer


def describe(folder: Path, **content) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "simclr.json").write_text(json.dumps({"format": 1, **content}))


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, tf.keras.layers.Layer]:
    """Two layers, stored as ckpt-7 of a run."""
    parts = {"encoder": dense(4, seed=1), "supervised_head": dense(2, seed=2)}
    checkpoint = tf.train.Checkpoint(**parts)
    tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=1).save(checkpoint_number=7)
    describe(tmp_path, train_mode="pretrain")
    return parts


def test_all_of_what_is_asked_for_and_nothing_else(saved, tmp_path) -> None:
    encoder = dense(4, seed=9)
    told = restore_parts({"encoder": encoder}, find_source(str(tmp_path / "ckpt-7")))
    np.testing.assert_array_equal(encoder.kernel, saved["encoder"].kernel)
    np.testing.assert_array_equal(encoder.bias, saved["encoder"].bias)
    assert told == f"encoder: all 2 variables restored from {tmp_path}/ckpt-7"


def test_a_run_s_folder_is_its_latest_checkpoint(saved, tmp_path) -> None:
    source = find_source(f"{tmp_path}/")
    assert source.prefix == f"{tmp_path}/ckpt-7"
    assert source.metadata["train_mode"] == "pretrain"


def test_newest_saved_model_by_number_not_by_name(tmp_path) -> None:
    for version in ("9", "10"):
        layer = dense(4, seed=int(version))
        module = tf.Module()
        module.encoder = layer
        tf.saved_model.save(module, str(tmp_path / "saved_model" / version))
        describe(tmp_path / "saved_model" / version / "assets.extra", step=int(version))
    for path in (tmp_path, tmp_path / "saved_model", tmp_path / "saved_model/10"):
        source = find_source(str(path))
        assert source.metadata["step"] == 10, path
        encoder = dense(4, seed=0)
        restore_parts({"encoder": encoder}, source)
        np.testing.assert_array_equal(encoder.kernel, dense(4, seed=10).kernel)


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (lambda: dense(5), "2 of another shape: encoder/bias [4] there, [5] here"),
        (lambda: tf.keras.Sequential([dense(4)]), "2 missing in the checkpoint: encoder/"),
        (lambda: tf.Module(), "2 not in this network: encoder/bias, encoder/kernel"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_set(encoder, words, saved, tmp_path) -> None:
    encoder, head = encoder(), dense(2, seed=5)
    before = head.kernel.numpy()
    with pytest.raises(UserError) as error:
        restore_parts({"encoder": encoder, "supervised_head": head}, find_source(str(tmp_path)))
    assert words in str(error.value)
    np.testing.assert_array_equal(head.kernel, before)


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "index"])
def test_damaged_file_is_an_error_and_nothing_is_set(damage, saved, tmp_path) -> None:
    data = tmp_path / "ckpt-7.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    if damage == "flipped bit":
        content[saved["encoder"].kernel.shape.num_elements()] ^= 1
        data.write_bytes(content)
    elif damage == "cut short":
        data.write_bytes(content[:8])
    else:
        (tmp_path / "ckpt-7.index").write_bytes(b"not an index")
    parts = {"encoder": dense(4, seed=9), "supervised_head": dense(2, seed=9)}
    before = {name: part.kernel.numpy() for name, part in parts.items()}
    with pytest.raises(UserError, match="cannot be read"):
        restore_parts(parts, find_source(str(tmp_path / "ckpt-7")))
    for name, part in parts.items():
        np.testing.assert_array_equal(part.kernel, before[name])


def test_paths_that_hold_no_weights(saved, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, words in {
        empty: "holds no checkpoint or SavedModel",
        tmp_path / "ckpt-8": "does not exist",
    }.items():
        with pytest.raises(UserError, match=words):
            find_source(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no simclr.json beside it"),
        ("{", "is not valid JSON"),
        ('{"format": 99}', "has format 99, this version of simclr_tf reads format 1"),
    ],
)
def test_weights_that_do_not_say_what_they_are(content, words, saved, tmp_path) -> None:
    (tmp_path / "simclr.json").unlink()
    if content is not None:
        (tmp_path / "simclr.json").write_text(content)
    with pytest.raises(UserError, match=words):
        find_source(str(tmp_path))
