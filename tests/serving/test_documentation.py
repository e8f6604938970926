"""What docs/serving.md prints, on the network of these tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from simclr_tf.data import preprocess_for_eval
from tests.documentation import code_run_by
from tests.serving.conftest import SIZE

TEST = "tests/serving/test_documentation.py::test_the_python_of_the_documentation"


def test_the_python_of_the_documentation(exported, tmp_path, monkeypatch) -> None:
    (tmp_path / "runs/NAME/saved_model").mkdir(parents=True)
    (tmp_path / "runs/NAME/saved_model/STEP").symlink_to(exported["float32"].folder)
    monkeypatch.chdir(tmp_path)
    picture = tf.image.resize(tf.random.stateless_uniform([4, 5, 3], [1, 2]), [48, 60])
    encoded = tf.io.encode_jpeg(tf.image.convert_image_dtype(picture, tf.uint8))
    Path("image.jpg").write_bytes(encoded.numpy())

    names = {"images": tf.random.stateless_uniform([2, SIZE, SIZE, 3], [3, 4])}
    exec(code_run_by(TEST), names)

    network = exported["float32"].network
    prepared = preprocess_for_eval(tf.io.decode_jpeg(encoded)[tf.newaxis], SIZE)
    expected = network(prepared, training=False)["final_avg_pool"]
    np.testing.assert_allclose(names["features"], expected, atol=1e-5, rtol=1e-5)
    assert len(names["variables"]) == len(network.trainable_variables)
