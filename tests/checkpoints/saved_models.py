"""SavedModels, good and bad, and how they are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from simclr_tf.checkpoints import find_weights, variables_by_path
from simclr_tf.errors import SettingError
from tests.checkpoints.small import as_module, save, small_network


def hide(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Calls it in a function in a branch in a loop."""
    inner = tf.function(function)

    def outer(x: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(3):
            x = tf.cond(x > 0, lambda x=x: tf.ensure_shape(inner(x), []), lambda x=x: x)
        return x

    return outer


def write_network(folder: Path) -> str:
    """Writes saved/: a network's, with simclr.json, that computes alone; and run/, a checkpoint."""
    network = small_network()
    module = as_module(variables_by_path(network.parts))
    del module.all
    weights = list(variables_by_path(network.parts).values())

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(pictures: tf.Tensor) -> tf.Tensor:
        decode = hide(lambda x: x + tf.random.uniform([]))
        size = tf.map_fn(lambda p: tf.shape(tf.io.decode_image(p))[0], pictures, tf.int32)
        return decode(tf.cast(tf.reduce_sum(size), tf.float32)) + tf.reduce_sum(weights[0])

    module.serve = serve
    tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": serve})
    (folder / "run").mkdir()
    save(network, folder / "run")
    (folder / "saved/assets.extra").mkdir()
    shutil.copy(folder / "run/simclr.json", folder / "saved/assets.extra")
    return str(folder / "saved")


def write_model(folder: Path, function: Callable[[tf.Tensor], tf.Tensor]) -> str:
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    signature = [tf.TensorSpec([], tf.float32)]
    module.call = tf.function(lambda x: function(x) * module.weight, input_signature=signature)
    tf.saved_model.save(module, str(folder))
    return str(folder)


def refusal(path: str) -> str:
    """What is said of a SavedModel, in one line that names the remedy."""
    with pytest.raises(SettingError) as error:
        find_weights(path)
    text = str(error.value)
    assert text.startswith(f"`checkpoint={path}` holds what weights do not need")
    assert text.endswith("; if you trust who made it, add `trust_checkpoint`")
    assert "\n" not in text
    return text


def read(path: str) -> saved_model_pb2.SavedModel:
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((Path(path) / "saved_model.pb").read_bytes())
    return saved


def write(path: str, saved: saved_model_pb2.SavedModel) -> None:
    (Path(path) / "saved_model.pb").write_bytes(saved.SerializeToString())
