"""Writes the SavedModel: encoder, heads and preprocessing in one graph of stock TensorFlow ops."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import copy_parts, make_metadata, variables_by_path
from simclr_tf.checkpoints.metadata import FILE_NAME
from simclr_tf.config import Config
from simclr_tf.data.preprocessing import preprocess_for_eval
from simclr_tf.models.factory import build_plain
from simclr_tf.models.network import Network

_IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
_ENCODED = tf.TensorSpec([None], tf.string, name="image_bytes")


def export_saved_model(
    trained: Network, config: Config, *, class_names: Sequence[str] | None, step: int
) -> str:
    """Writes `model_dir/saved_model/<step>/` and prunes old versions.

    The network is copied into float32 and off the devices it was trained on, so that the graph
    holds no collective and no reduced precision.

    Args:
      trained: the network.
      config: its configuration.
      class_names: of the supervised head, if known.
      step: the version number.

    Returns:
      The folder. It is whole as soon as it has this name.
    """
    num_classes = trained.supervised_head.dense.units if trained.supervised_head else None
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("float32")
    try:
        network = build_plain(config, num_classes)
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    copy_parts(trained.parts, network.parts)
    module = _make_module(network)
    infer = module.__call__.get_concrete_function(_IMAGES, trainable=False)
    signatures = _signatures(infer, config.image_size, with_classifier=num_classes is not None)
    metadata = make_metadata(config, num_classes=num_classes)
    metadata.update(step=step, class_names=list(class_names) if class_names else None)

    base = files.join(config.model_dir, "saved_model")
    aside = files.join(config.model_dir, f"saved_model_{uuid.uuid4().hex}.tmp")
    tf.saved_model.save(module, aside, signatures=signatures)
    tf.io.gfile.makedirs(files.join(aside, "assets.extra"))
    files.write_json(files.join(aside, "assets.extra", FILE_NAME), metadata)
    target = files.join(base, str(step))
    tf.io.gfile.makedirs(base)
    if tf.io.gfile.exists(target):
        tf.io.gfile.rmtree(target)
    tf.io.gfile.rename(aside, target)
    if config.keep_hub_module_max:
        names = (name.rstrip("/") for name in tf.io.gfile.listdir(base))
        versions = sorted((name for name in names if name.isdigit()), key=int)
        for old in versions[: -config.keep_hub_module_max]:
            tf.io.gfile.rmtree(files.join(base, old))
    return target


def _make_module(network: Network) -> tf.Module:
    """Returns the object to save.

    It tracks variables only, at the places where checkpoints hold them: SavedModels and
    checkpoints are read by the same code, and no Keras layer ends up in the file.
    """
    root = tf.Module()
    for path, variable in variables_by_path(network.parts).items():
        *places, name = path.split("/")
        node = root
        for place in places:
            if not hasattr(node, place):
                setattr(node, place, tf.Module())
            node = getattr(node, place)
        setattr(node, name, variable)
    # The reference's name for what to hand to an optimizer when fine-tuning a loaded model.
    root.trainable_variables_list = network.trainable_variables

    @tf.function(autograph=False)
    def call(inputs: tf.Tensor, trainable: bool) -> dict[str, tf.Tensor]:
        return network(inputs, training=trainable)

    call.get_concrete_function(_IMAGES, trainable=True)
    root.__call__ = call
    return root


def _signatures(infer: Any, image_size: int, *, with_classifier: bool) -> dict[str, Any]:
    """Returns the signatures, all built on one trace of the network.

    Args:
      infer: images -> the network's outputs by name, in inference mode.
      image_size: what encoded images are resized to.
      with_classifier: whether the network has a supervised head.
    """

    def embed(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": infer(images)["final_avg_pool"]}

    def project(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"projection": infer(images)["proj_head_output"]}

    def classify(images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = infer(images)["logits_sup"]
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    def decode(contents: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(contents, channels=3, expand_animations=False)
        return preprocess_for_eval(image, image_size)

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
        return {**embed(images), **(classify(images) if with_classifier else {})}

    functions = {"serving_default": (serve, _ENCODED), "embed": (embed, _IMAGES)}
    functions["project"] = (project, _IMAGES)
    if with_classifier:
        functions["classify"] = (classify, _IMAGES)
    return {
        name: tf.function(function, input_signature=[spec])
        for name, (function, spec) in functions.items()
    }
