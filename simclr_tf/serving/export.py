"""Writes the SavedModel: encoder, heads and preprocessing in one graph of stock TensorFlow ops."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import assign_parts, make_metadata, read_parts
from simclr_tf.checkpoints.description import FILE_NAME
from simclr_tf.config import Config
from simclr_tf.data.preprocessing import CROP_PROPORTION, LARGEST_UNCROPPED_SIZE
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from simclr_tf.serving import server_files, versions, warmup
from simclr_tf.serving.saved_module import make_module
from simclr_tf.serving.signatures import IMAGES, make_signatures
from simclr_tf.version import __version__


def export_saved_model(
    trained: Network, config: Config, *, class_names: Sequence[str] | None, step: int
) -> str:
    """Writes `model_dir/saved_model/<version>/` and removes old versions.

    Where the newest version is this very model, it is left as it is. See `versions.publish` for
    what a server that polls the folder sees.

    Args:
      trained: the network.
      config: its configuration.
      class_names: of the supervised head, if known.
      step: the step it was trained to, and the version if no other model has that number.

    Returns:
      The folder. It is whole as soon as it has this name; on gs:// as soon as it holds
      saved_model.pb.
    """
    weights = read_parts(trained.parts)
    num_classes = trained.num_classes
    metadata = describe_export(
        weights, config, num_classes=num_classes, class_names=class_names, step=step
    )
    server_files.write_examples(config.model_dir)
    base = files.join(config.model_dir, "saved_model")
    target = versions.newest_is(base, metadata)
    if target is None:
        network = _build_in_float32(weights, config, num_classes)
        target = versions.publish(
            lambda folder: _write(folder, network, config, metadata),
            base,
            step=step,
            keep=config.keep_hub_module_max,
        )
    return target


def describe_export(
    weights: Mapping[str, tf.Tensor],
    config: Config,
    *,
    num_classes: int | None,
    class_names: Sequence[str] | None,
    step: int,
) -> dict[str, Any]:
    """Returns the metadata: what checkpoints say, and what tells one export from another.

    Args:
      weights: from `read_parts`.
      config: the network's configuration.
      num_classes: of the supervised head, None without one.
      class_names: as for `export_saved_model`.
      step: as for `export_saved_model`.
    """
    metadata = make_metadata(config, num_classes=num_classes)
    cropped = config.image_size > LARGEST_UNCROPPED_SIZE
    metadata["preprocessing"].update(
        central_crop=CROP_PROPORTION if cropped else 1.0, resize="bicubic"
    )
    return {
        **metadata,
        "export_precision": config.export_precision,
        "configuration_sha256": _configuration_sha256(config.model_dir),
        "weights_sha256": _weights_sha256(weights),
        "versions": {"simclr_tf": __version__, "tensorflow": tf.__version__},
        "step": step,
        "class_names": list(class_names) if class_names else None,
    }


def _configuration_sha256(model_dir: str) -> str | None:
    """The hash of the run's config.json: `sha256sum` prints the same."""
    path = files.join(model_dir, "config.json")
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _weights_sha256(weights: Mapping[str, tf.Tensor]) -> str:
    digest = hashlib.sha256()
    for path, value in sorted(weights.items()):
        digest.update(path.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _build_in_float32(
    weights: Mapping[str, tf.Tensor], config: Config, num_classes: int | None
) -> Network:
    """Returns the network off the devices of training: no collective, no reduced precision."""
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("float32")
    try:
        network = build_plain(config, num_classes)
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    assign_parts(weights, network.parts)
    return network


def _write(folder: str, network: Network, config: Config, metadata: dict[str, Any]) -> None:
    """Writes the SavedModel; TensorFlow writes saved_model.pb, without which it is none, last."""
    module = make_module(network, config.export_precision)
    infer = module.__call__.get_concrete_function(IMAGES, trainable=False)
    with_classifier = network.supervised_head is not None
    signatures = make_signatures(infer, config.image_size, with_classifier=with_classifier)
    extra = files.join(folder, "assets.extra")
    tf.io.gfile.makedirs(extra)
    files.write_json(files.join(extra, FILE_NAME), metadata)
    warmup.write_requests(extra, list(signatures), config.image_size)
    tf.saved_model.save(module, folder, signatures=signatures)
