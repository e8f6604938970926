"""Warm-up requests: what a server runs on loading a model, so that its first client need not wait.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

import tensorflow as tf

from simclr_tf import files

FILE_NAME = "tf_serving_warmup_requests"  # in assets.extra/, a fixed name


def write_requests(folder: str, names: list[str], image_size: int) -> None:
    """Writes a TFRecord file with one gray image for each signature.

    Args:
      folder: the SavedModel's `assets.extra`.
      names: the signatures.
      image_size: of the images.
    """
    picture = tf.io.encode_jpeg(tf.fill([image_size, image_size, 3], tf.constant(128, tf.uint8)))
    encoded = tf.make_tensor_proto([picture.numpy()])
    pixels = tf.make_tensor_proto(0.5, tf.float32, [1, image_size, image_size, 3])
    with tf.io.TFRecordWriter(files.join(folder, FILE_NAME)) as writer:
        for name in names:
            given = ("image_bytes", encoded) if name == "serving_default" else ("images", pixels)
            writer.write(_prediction_log(name, *given))


def _prediction_log(signature: str, input_name: str, value: tf.compat.v1.TensorProto) -> bytes:
    """Returns a serialized `tensorflow.serving.PredictionLog` of one request.

    By hand, since export must run without tensorflow-serving-api, which asks for plain `tensorflow`
    beside `tensorflow-tpu`. Numbers are those of prediction_log.proto, predict.proto, model.proto.
    """
    model_spec = _field(3, signature.encode())
    entry = _field(1, input_name.encode()) + _field(2, value.SerializeToString())
    request = _field(1, model_spec) + _field(2, entry)
    return _field(6, _field(1, request))  # predict_log, its request


def _field(number: int, payload: bytes) -> bytes:
    """Returns a length-delimited protocol buffer field: strings, messages and map entries."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
