"""Warm-up requests: the official messages read them, and every signature answers them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

pytestmark = pytest.mark.smoke


def test_every_signature_answers_its_request(exported) -> None:
    folder = exported["float32"].folder
    signatures = tf.saved_model.load(str(folder)).signatures
    file = folder / "assets.extra/tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        name = request.model_spec.signature_name
        inputs = {key: tf.constant(tf.make_ndarray(v)) for key, v in request.inputs.items()}
        outputs = signatures[name](**inputs)
        for value in outputs.values():
            assert value.shape[0] == 1
            assert np.isfinite(value).all()
        # Nothing but what was meant: the official library writes the same bytes.
        again = prediction_log_pb2.PredictionLog()
        again.predict_log.request.CopyFrom(request)
        assert again.SerializeToString(deterministic=True) == record.numpy()
        seen.append(name)
    assert sorted(seen) == sorted(signatures)
    assert file.stat().st_size < 5000


def test_the_examples_are_what_a_server_reads(exported) -> None:
    serving = exported["float32"].folder.parents[1] / "serving"
    text = (serving / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("simclr", "tensorflow")
    assert model.base_path.endswith("/saved_model")
    # tensorflow-serving-api has no message for this one: its fields are wrapped numbers.
    lines = (serving / "batching_parameters.txt").read_text().splitlines()
    fields = [line.split(" { value: ")[0] for line in lines if not line.startswith("#")]
    assert fields == [
        *("max_batch_size", "batch_timeout_micros"),
        *("max_enqueued_batches", "num_batch_threads"),
    ]
