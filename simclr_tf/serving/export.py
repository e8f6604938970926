"""Writes the SavedModel: encoder, heads and preprocessing in one graph of stock TensorFlow ops."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import Description, assign_parts, read_parts
from simclr_tf.data.preprocessing import CROP_PROPORTION, LARGEST_UNCROPPED_SIZE
from simclr_tf.pixel_rule import WHITE, PixelRule
from simclr_tf.serving import server_files, versions, warmup
from simclr_tf.serving.saved_module import make_module
from simclr_tf.serving.signatures import IMAGES, make_signatures
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from simclr_tf.version import __version__


def export_saved_model(
    trained: Network,
    description: Description,
    *,
    model_dir: str,
    export_precision: str,
    keep: int,
    batch_norm_momentum: float = 0.9,
    check: Callable[[str], None] = lambda folder: None,
) -> str:
    """Writes `model_dir/saved_model/<version>/` and removes old versions.

    Where the newest version is this very model, and whole, it is left as it is. See
    `versions.publish` for what a server that polls the folder sees.

    Args:
      trained: the network.
      description: what it is. Its step is the version, if no other model has that number.
      model_dir: the run's folder, or any other.
      export_precision: in which kernels are stored, see `make_module`.
      keep: how many versions to keep, 0 for all.
      batch_norm_momentum: what fine-tuning the SavedModel keeps of moving statistics a step.
      check: see `versions.publish`. A version that is left as it is, is checked, too.

    Returns:
      The folder. It is whole as soon as it has this name; on gs:// as soon as it holds
      assets.extra/simclr.json.
    """
    weights = read_parts(trained.parts)
    described = describe_export(
        weights, description, model_dir=model_dir, export_precision=export_precision
    )
    server_files.write_examples(model_dir)
    base = files.join(model_dir, "saved_model")
    target = versions.newest_is(base, described)
    if target is not None:
        check(target)
        return target
    network = _build_in_float32(weights, description, batch_norm_momentum)
    return versions.publish(
        lambda folder: _write(folder, network, described),
        described,
        base,
        step=described["step"],
        keep=keep,
        check=check,
    )


def describe_export(
    weights: Mapping[str, tf.Tensor],
    description: Description,
    *,
    model_dir: str,
    export_precision: str,
) -> dict[str, Any]:
    """Returns the content of simclr.json: what the network is, and what tells exports apart.

    Args:
      weights: from `read_parts`.
      description: what the network is.
      model_dir: of the run, whose configuration counts.
      export_precision: as for `export_saved_model`.
    """
    known = dataclasses.replace(description, pixel_rule=description.pixel_rule or WHITE)
    described = known.to_json()
    cropped = description.image_size > LARGEST_UNCROPPED_SIZE
    described["preprocessing"].update(
        central_crop=CROP_PROPORTION if cropped else 1.0, resize="bicubic"
    )
    return {
        **described,
        "export_precision": export_precision,
        "configuration_sha256": _configuration_sha256(model_dir),
        "weights_sha256": _weights_sha256(weights),
        "versions": {"simclr_tf": __version__, "tensorflow": tf.__version__},
        "step": description.step or 0,
        "class_names": list(description.class_names) if description.class_names else None,
    }


def _configuration_sha256(model_dir: str) -> str | None:
    """The hash of the run's config.json."""
    path = files.join(model_dir, "config.json")
    return files.sha256(path) if tf.io.gfile.exists(path) else None


def _weights_sha256(weights: Mapping[str, tf.Tensor]) -> str:
    digest = hashlib.sha256()
    for path, value in sorted(weights.items()):
        digest.update(path.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _build_in_float32(
    weights: Mapping[str, tf.Tensor], description: Description, batch_norm_momentum: float
) -> Network:
    """Returns the network off the devices of training: no collective, no reduced precision."""
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("float32")
    try:
        network = build_plain(
            description.architecture,
            description.num_classes,
            projection_selector=description.projection_selector,
            batch_norm_momentum=batch_norm_momentum,
        )
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    assign_parts(weights, network.parts)
    return network


def _write(folder: str, network: Network, described: dict[str, Any]) -> None:
    """Writes the SavedModel and its warm-up requests."""
    preprocessing = described["preprocessing"]
    image_size = preprocessing["image_size"]
    module = make_module(network, described["export_precision"])
    infer = module.__call__.get_concrete_function(IMAGES, trainable=False)
    with_classifier = network.supervised_head is not None
    signatures = make_signatures(
        infer,
        image_size,
        with_classifier=with_classifier,
        pixel_rule=PixelRule.from_json(preprocessing["pixel_rule"]),
    )
    extra = files.join(folder, "assets.extra")
    tf.io.gfile.makedirs(extra)
    warmup.write_requests(extra, list(signatures), image_size)
    tf.saved_model.save(module, folder, signatures=signatures)
