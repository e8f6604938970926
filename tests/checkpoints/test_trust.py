"""SavedModels that could do more than compute are refused before anything of them is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import compat
from simclr_tf.checkpoints import find_weights, restore_parts
from simclr_tf.config import parse
from simclr_tf.errors import SettingError, UserError
from simclr_tf.runs.initial_weights import open_weights
from tests.checkpoints.saved_models import refusal, write
from tests.checkpoints.small import small_network, values_of

pytestmark = pytest.mark.smoke


def test_one_that_computes_alone_is_read(model) -> None:
    network = small_network(seed="other")
    told = restore_parts(network.parts, find_weights(model))
    assert "0 missing, 0 unexpected, 0 mismatched" in told
    for path, value in values_of(small_network()).items():
        np.testing.assert_array_equal(value, values_of(network)[path], err_msg=path)


def test_trusted_it_is_read_all_the_same(changed) -> None:
    path, saved = changed
    saved.meta_graphs[0].graph_def.node.add(name="x", op="ReadFile", input=["y"])
    write(path, saved)
    assert "loaded: ReadFile;" in refusal(path)
    network = small_network(seed="other")
    restore_parts(network.parts, find_weights(path, trust_checkpoint=True))
    for name, value in values_of(small_network()).items():
        np.testing.assert_array_equal(value, values_of(network)[name], err_msg=name)


def test_lookup_tables_and_assets_elsewhere(changed) -> None:
    path, saved = changed
    graph = saved.meta_graphs[0]
    graph.asset_file_def.add(filename="names.txt")
    write(path, saved)
    find_weights(path)
    graph.graph_def.node.add(name="t", op="InitializeTableFromTextFileV2", input=["a", "b"])
    for filename in ("../../secret", "/etc/passwd", "gs://bucket/x"):
        graph.asset_file_def.add(filename=filename)
    write(path, saved)
    told = refusal(path)
    for word in (
        "InitializeTableFromTextFileV2",
        "the asset ../../secret",
        "the asset gs://bucket/x",
    ):
        assert word in told
    assert "names.txt" not in told


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt"])
def test_forms_that_tensorflow_reads_and_this_does_not(name, changed) -> None:
    path, _ = changed
    (Path(path) / name).write_bytes(b"")
    assert f"{name}, which is not read here" in refusal(path)


def test_python_code_in_keras_layers(changed, tmp_path) -> None:
    path, saved = changed
    layers = [tf.keras.layers.Dense(1), tf.keras.layers.Lambda(lambda x: x * 2)]
    keras = tf.keras.Sequential([tf.keras.Input([2]), *layers])
    keras.save(tmp_path / "keras", save_format="tf")
    shutil.copy(tmp_path / "keras/keras_metadata.pb", path)
    assert "loaded: the Keras layer Lambda;" in refusal(path)
    metadata = compat.keras_metadata()
    metadata.nodes.add(metadata='{"class_name": "Dense", "config": {"units": [1]}}')
    metadata.nodes.add()
    file = Path(path) / "keras_metadata.pb"
    file.write_bytes(metadata.SerializeToString())
    find_weights(path)
    # Older ones keep it in the model. A name is a name however it is written.
    node = saved.meta_graphs[0].object_graph_def.nodes.add()
    node.user_object.metadata = '{"config": [{"class_name": "TFOp\\u004cambda"}]}'
    write(path, saved)
    assert "loaded: the Keras layer TFOpLambda;" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("saved_model.pb", lambda whole: whole[: len(whole) // 2]),
        ("saved_model.pb", lambda whole: b"\xff" * 100),
        ("keras_metadata.pb", lambda whole: b"\xff" * 100),
        ("keras_metadata.pb", lambda whole: text_of_layer('{"class_name": ')),
        ("keras_metadata.pb", lambda whole: text_of_layer("[" * 100_000)),
    ],
)
def test_damaged_files_end_in_one_line(name, content, changed) -> None:
    path, saved = changed
    (Path(path) / name).write_bytes(content(saved.SerializeToString()))
    with pytest.raises(UserError, match=f"{name} cannot be read .* it is damaged") as error:
        find_weights(path)
    assert "\n" not in str(error.value)


def text_of_layer(text: str) -> bytes:
    metadata = compat.keras_metadata()
    metadata.nodes.add(metadata=text)
    return metadata.SerializeToString()


def test_the_flag_says_whom_to_trust(changed) -> None:
    path, saved = changed
    saved.meta_graphs[0].graph_def.node.add(name="x", op="ReadFile", input=["y"])
    write(path, saved)
    with pytest.raises(SettingError, match="add `trust_checkpoint`"):
        open_weights(parse([f"--checkpoint={path}"]))
    _, weights = open_weights(parse([f"--checkpoint={path}", "--trust_checkpoint"]))
    assert weights is not None
    assert weights.description.dataset == "imagenet2012"


def test_a_run_s_own_checkpoints_are_numbers_alone(model) -> None:
    assert find_weights(str(Path(model).parent / "run")).description.dataset == "imagenet2012"
