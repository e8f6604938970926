"""A checkpoint's network for others to run: as SavedModel, TensorFlow Lite or ONNX, measured."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import files
from simclr_tf.run_identity import check_projection_selector
from simclr_tf.checkpoints import StoredWeights, read_parts, restore_parts
from simclr_tf.checkpoints.description import FILE_NAME
from simclr_tf.checkpoints.stored_weights import newest_saved_model
from simclr_tf.config import Config
from simclr_tf.data.preprocessing import CROP_PROPORTION, LARGEST_UNCROPPED_SIZE
from simclr_tf.errors import UserError, first_line
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network
from simclr_tf.serving import formats
from simclr_tf.serving.export import describe_export, export_saved_model
from simclr_tf.workflows.initial_weights import open_checkpoint
from simclr_tf.workflows.run_folder import RUNS, stored_config

# Largest difference of an output over its largest value.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


def export(config: Config) -> str:
    """Writes the network of `--checkpoint` in `--format`, and compares what it computes.

    Returns:
      The SavedModel's folder, or the file.

    Raises:
      UserError: bad input, a tool that is not installed, or a file that computes something else,
        which is then not kept.
    """
    if config.format != "saved_model":
        formats.check_available(config.format)
    selector = config.ft_proj_selector if "ft_proj_selector" in config.explicit else None
    config, source = open_checkpoint(config)
    assert source is not None  # checked with the flags
    head = source.metadata["supervised_head"]
    run = _run_of(source)
    config = dataclasses.replace(
        config,
        model_dir=_choose_folder(config, run),
        train_mode=source.metadata.get("train_mode", config.train_mode),
        dataset=source.metadata.get("dataset", config.dataset),
        ft_proj_selector=(head or {}).get("ft_proj_selector", 0) if selector is None else selector,
    )
    check_projection_selector(config)
    network = build_plain(config, head["num_classes"] if head else None)
    if config.format != "saved_model":
        formats.check_size(config.format, network)
    print(restore_parts(network.parts, source), flush=True)
    names = _class_names(source, run)
    try:
        if config.format == "saved_model":
            return _export_saved_model(network, config, names, _step(source))
        return _export_file(network, config, names, _step(source))
    except (OSError, tf.errors.OpError) as error:
        reason = first_line(error)
        raise UserError(f"--model_dir={config.model_dir} cannot be written: {reason}") from None


def _run_of(source: StoredWeights) -> str | None:
    """Returns the folder of the run that the checkpoint or SavedModel lies in, or None."""
    places = source.prefix.split("/")
    above = {"variables": 4}.get(places[-1], 1)  # RUN/saved_model/STEP/variables/variables
    folder = "/".join(places[:-above]) or ("/" if source.prefix.startswith("/") else ".")
    return folder if tf.io.gfile.exists(files.join(folder, "config.json")) else None


def _choose_folder(config: Config, run: str | None) -> str:
    """Returns where to write: what was asked for, else the run's folder, else a new one."""
    if not config.model_dir:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return run or files.join(RUNS, f"export_r{config.resnet_depth}_{stamp}")
    folder = config.model_dir.rstrip("/")
    if tf.io.gfile.exists(folder) and not tf.io.gfile.isdir(folder):
        raise UserError(f"--model_dir={folder} is a file; give a folder")
    if stored_config(folder) is not None and folder != run:
        raise UserError(
            f"--model_dir={folder} holds another run than that of --checkpoint="
            f"{config.checkpoint}; give another --model_dir"
        )
    return folder


def _step(source: StoredWeights) -> int:
    """Returns the step that the weights were trained to, 0 where nothing says."""
    numbered = re.search(r"ckpt-(\d+)$", source.prefix)
    return int(numbered[1]) if numbered else source.metadata.get("step", 0)


def _class_names(source: StoredWeights, run: str | None) -> list[str] | None:
    """Returns what the SavedModel says, or for a checkpoint the newest SavedModel of its run."""
    described: Any = source.metadata
    newest = newest_saved_model(run) if "class_names" not in described and run else None
    if newest is not None:
        described = files.read_json(files.join(newest, "assets.extra", FILE_NAME)) or {}
        if described.get("supervised_head") != source.metadata["supervised_head"]:
            return None
    return described.get("class_names")


def _export_saved_model(
    network: Network, config: Config, names: list[str] | None, step: int
) -> str:
    function = formats.make_function(network, config.image_size)
    expected, images = _expect(function, config.image_size)
    folder = export_saved_model(network, config, class_names=names, step=step)
    saved = tf.saved_model.load(folder)
    outputs = saved.signatures["embed"](tf.constant(images))
    if "logits" in expected:
        outputs = {**outputs, **saved.signatures["classify"](tf.constant(images))}
    found = {name: value.numpy() for name, value in outputs.items()}
    difference = _compare(found, expected, config)
    print(f"SavedModel: {folder}, stored in {config.export_precision}")
    print(
        "  input     image_bytes, string [batch]: JPEG, PNG, BMP or GIF files (serving_default); "
        "or images, float32 [batch, height, width, 3], RGB in [0, 1] (embed, project, classify)"
    )
    _report(config, expected, difference)
    return folder


def _export_file(network: Network, config: Config, names: list[str] | None, step: int) -> str:
    kind = formats.FORMATS[config.format]
    function = formats.make_function(network, config.image_size)
    expected, images = _expect(function, config.image_size)
    content = kind.convert(function, network)
    difference = _compare(kind.run(content, images), expected, config)
    folder = files.join(config.model_dir, "export")
    tf.io.gfile.makedirs(folder)
    stem = files.join(folder, f"resnet{config.resnet_depth}-{step}")
    metadata = describe_export(
        read_parts(network.parts),
        config,
        num_classes=network.num_classes,
        class_names=names,
        step=step,
    )
    files.write_json(f"{stem}.json", metadata)
    path = stem + kind.suffix
    files.write_bytes(path, content)
    size = config.image_size
    print(f"wrote {path} ({len(content) / 1e6:.1f} MB); {stem}.json says what it is")
    print(f"  input     images, float32 [batch, {size}, {size}, 3], RGB in [0, 1]")
    _report(config, expected, difference)
    return path


def _expect(function: Any, image_size: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns what the network answers to a few images, noise both fine and coarse, and those."""
    rng = np.random.default_rng(0)
    coarse = tf.image.resize(rng.uniform(size=(2, 4, 4, 3)), [image_size, image_size]).numpy()
    fine = rng.uniform(size=(2, image_size, image_size, 3))
    images = np.concatenate([coarse, fine]).astype(np.float32)
    outputs = function(tf.constant(images))
    return {name: value.numpy() for name, value in outputs.items()}, images


def _compare(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], config: Config
) -> float:
    """Returns the largest difference of features, over the largest of the network's features.

    Raises:
      UserError: it, or that of another output, is above the tolerance.
    """
    differences = {
        name: float(np.max(np.abs(found[name] - value)) / (np.max(np.abs(value)) or 1))
        for name, value in expected.items()
    }
    for name, difference in differences.items():
        if not difference <= TOLERANCE[config.export_precision]:  # what is no number fails too
            raise UserError(
                f"--format={config.format}: the converted network's {name} differ from "
                f"{config.checkpoint}'s by {difference:.1e} of the largest, above "
                f"{TOLERANCE[config.export_precision]:g}; do not use it, and report this"
            )
    return differences["features"]


def _report(config: Config, outputs: dict[str, np.ndarray], difference: float) -> None:
    size = config.image_size
    cropped = size > LARGEST_UNCROPPED_SIZE
    crop = f"the central square of {CROP_PROPORTION:g} of the shorter side, " if cropped else ""
    shapes = (f"{name} [batch, {value.shape[1]}]" for name, value in outputs.items())
    prepared = "prepared inside" if config.format == "saved_model" else "prepare as evaluation does"
    print(f"  pictures  {prepared}: {crop}bicubic resize to {size} x {size}, clipped to [0, 1]")
    print(f"  outputs   {', '.join(shapes)}, float32")
    print(
        f"  measured  features of {len(outputs['features'])} images differ from the checkpoint's "
        f"by {difference:.1e} of the largest at most"
    )
