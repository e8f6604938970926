"""The signatures of a SavedModel: what a server offers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.data.decoding import decode_picture
from simclr_tf.data.preprocessing import preprocess_for_eval
from simclr_tf.pixel_rule import PixelRule
from simclr_tf.serving.decoding import check_picture

IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
ENCODED = tf.TensorSpec([None], tf.string, name="image_bytes")


def make_signatures(
    infer: Any, image_size: int, *, with_classifier: bool, pixel_rule: PixelRule
) -> dict[str, Any]:
    """Returns the signatures, all built on one trace of the network.

    Args:
      infer: images -> the network's outputs by name, in inference mode.
      image_size: what encoded images are resized to.
      with_classifier: whether the network has a supervised head.
      pixel_rule: how encoded images become RGB of eight bits.
    """

    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # oneDNN's convolutions fail on an empty batch: one image is run instead, and dropped.
        count = tf.shape(images)[0]
        one = tf.zeros([1, image_size, image_size, 3])
        outputs = infer(tf.cond(count > 0, lambda: images, lambda: one))
        return {name: value[:count] for name, value in outputs.items()}

    def features(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"features": outputs["final_avg_pool"]}

    def classes(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = outputs["logits_sup"]
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    def prepare(numbered: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        pixels = decode_picture(check_picture(*numbered), pixel_rule)
        return preprocess_for_eval(pixels, image_size)

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        numbered = (image_bytes, tf.range(tf.size(image_bytes)))
        outputs = run(tf.map_fn(prepare, numbered, fn_output_signature=tf.float32))
        return {**features(outputs), **(classes(outputs) if with_classifier else {})}

    def embed(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return features(run(images))

    def project(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"projection": run(images)["proj_head_output"]}

    def classify(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return classes(run(images))

    functions = {"serving_default": (serve, ENCODED), "embed": (embed, IMAGES)}
    functions["project"] = (project, IMAGES)
    if with_classifier:
        functions["classify"] = (classify, IMAGES)
    return {
        name: tf.function(function, input_signature=[spec], autograph=False)
        for name, (function, spec) in functions.items()
    }
