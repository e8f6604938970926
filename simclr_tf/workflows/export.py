"""A checkpoint's network for others to run: as SavedModel, TensorFlow Lite or ONNX, measured."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import files, paths
from simclr_tf.checkpoints import Description, StoredWeights, read_parts, restore_parts
from simclr_tf.checkpoints.description import FILE_NAME
from simclr_tf.checkpoints.stored_weights import newest_saved_model
from simclr_tf.config import Config
from simclr_tf.data.preprocessing import CROP_PROPORTION, LARGEST_UNCROPPED_SIZE
from simclr_tf.errors import SettingError
from simclr_tf.pixel_rule import Color, PixelRule
from simclr_tf.runs.folder import cannot_be_written, check_is_no_file, new_folder, stored_config
from simclr_tf.runs.initial_weights import open_weights, step_of
from simclr_tf.serving import formats
from simclr_tf.serving.export import describe_export, export_saved_model
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network

# Largest difference of an output over its largest value.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


def export(config: Config) -> str:
    """Writes the network of `checkpoint` in `format`, and compares what it computes.

    Returns:
      The SavedModel's folder, or the file.

    Raises:
      UserError: bad input, a tool that is not installed, or a file that computes something else,
        which is then not kept.
    """
    if config.export.format != "saved_model":
        formats.check_available(config.export.format)
    config, weights = open_weights(config)
    assert weights is not None  # validation asks for a checkpoint
    run = _run_of(weights)
    config = config.replace(model_dir=_choose_folder(config, run))
    described = _describe(config, weights, run)
    network = build_plain(
        described.architecture,
        described.num_classes,
        projection_selector=described.projection_selector,
        batch_norm_momentum=config.batch_norm.batch_norm_decay,
    )
    if config.export.format != "saved_model":
        formats.check_size(config.export.format, network)
    print(restore_parts(network.parts, weights), flush=True)
    write = _export_saved_model if config.export.format == "saved_model" else _export_file
    try:
        return write(network, described, config)
    except (OSError, tf.errors.OpError) as error:
        raise cannot_be_written(config.task.model_dir, error) from None


def _describe(config: Config, weights: StoredWeights, run: str | None) -> Description:
    """Returns what the exported network is: what was stored, but for what was asked otherwise."""
    stored = weights.description
    selector = stored.projection_selector
    if "ft_proj_selector" in config.given:
        selector = config.finetuning.ft_proj_selector
    config.architecture.check_projection_selector(selector)
    return dataclasses.replace(
        stored,
        architecture=config.architecture,
        image_size=config.data.image_size,
        train_mode=stored.train_mode or config.task.train_mode,
        dataset=stored.dataset or config.data.dataset,
        projection_selector=selector,
        class_names=_class_names(stored, run),
        step=step_of(weights),
        pixel_rule=stored.pixel_rule or PixelRule(Color.to_rgb(config.data.alpha_background)),
    )


def _run_of(weights: StoredWeights) -> str | None:
    """Returns the folder of the run that the checkpoint or SavedModel lies in, or None."""
    places = paths.absolute(weights.prefix).split("/")
    above = {"variables": 4}.get(places[-1], 1)  # RUN/saved_model/STEP/variables/variables
    folder = "/".join(places[:-above]) or "/"
    return folder if tf.io.gfile.exists(files.join(folder, "config.json")) else None


def _choose_folder(config: Config, run: str | None) -> str:
    """Returns where to write: what was asked for, else the run's folder, else a new one."""
    folder = config.task.model_dir
    if not folder:
        return run or new_folder(f"export_{config.architecture.name}")
    check_is_no_file(folder)
    is_of_run = run is not None and paths.same_place(folder, run)
    if stored_config(folder) is not None and not is_of_run:
        raise SettingError(
            "model_dir",
            folder,
            f"holds another run than that of `checkpoint={config.task.checkpoint}`",
            "give another `model_dir`",
        )
    return folder


def _class_names(stored: Description, run: str | None) -> tuple[str, ...] | None:
    """Returns what the SavedModel says, or for a checkpoint the newest SavedModel of its run."""
    newest = newest_saved_model(run) if stored.class_names is None and run else None
    if newest is None:
        return stored.class_names
    content = files.read_json(files.join(newest, "assets.extra", FILE_NAME)) or {}
    names = content.get("class_names")
    return tuple(names) if names and len(names) == stored.num_classes else None


def _export_saved_model(network: Network, described: Description, config: Config) -> str:
    size, precision = described.image_size, config.export.export_precision
    expected, images = _expect(formats.make_function(network, size), size)
    signatures: set[str] = set()
    difference = 0.0

    def check(folder: str) -> None:
        nonlocal difference
        saved = tf.saved_model.load(paths.readable(folder)).signatures
        outputs = saved["embed"](tf.constant(images))
        if "logits" in expected:
            outputs = {**outputs, **saved["classify"](tf.constant(images))}
        signatures.update(saved)
        found = {name: value.numpy() for name, value in outputs.items()}
        difference = _compare(found, expected, config)

    folder = export_saved_model(
        network,
        described,
        model_dir=config.task.model_dir,
        export_precision=precision,
        keep=config.files.keep_hub_module_max,
        batch_norm_momentum=config.batch_norm.batch_norm_decay,
        check=check,
    )
    print(f"SavedModel: {folder}, stored in {precision}")
    print(
        "  input     image_bytes, string [batch]: JPEG or PNG files (serving_default); or images, "
        "float32 [batch, height, width, 3], RGB in [0, 1] "
        f"({', '.join(sorted(signatures - {'serving_default'}))})"
    )
    print(f"  pictures  prepared inside: {_preparation(size)}")
    _report(expected, difference)
    return folder


def _export_file(network: Network, described: Description, config: Config) -> str:
    size = described.image_size
    kind = formats.FORMATS[config.export.format]
    function = formats.make_function(network, size)
    expected, images = _expect(function, size)
    content = kind.convert(function, network)
    difference = _compare(kind.run(content, images), expected, config)
    folder = files.join(config.task.model_dir, "export")
    tf.io.gfile.makedirs(folder)
    stem = files.join(folder, f"{described.architecture.name}-{described.step}")
    metadata = describe_export(
        read_parts(network.parts),
        described,
        model_dir=config.task.model_dir,
        export_precision=config.export.export_precision,
    )
    path = stem + kind.suffix
    files.write_bytes(path, content)
    # What it is comes last, with the hash: who finds it knows that the file is whole.
    listed = {path[len(folder) + 1 :]: hashlib.sha256(content).hexdigest()}
    files.require_as_listed(folder, listed)
    files.write_json(f"{stem}.json", {**metadata, files.LISTED: listed})
    print(f"wrote {path} ({len(content) / 1e6:.1f} MB); {stem}.json says what it is")
    print(f"  input     images, float32 [batch, {size}, {size}, 3], RGB in [0, 1]")
    print(f"  pictures  prepare as evaluation does: {_preparation(size)}")
    _report(expected, difference)
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
    tolerance = TOLERANCE[config.export.export_precision]
    for name, difference in differences.items():
        if not difference <= tolerance:  # what is no number fails too
            raise SettingError(
                "format",
                config.export.format,
                f": the converted network's {name} differ from {config.task.checkpoint}'s by "
                f"{difference:.1e} of the largest, above {tolerance:g}",
                "do not use it, and report this",
            )
    return differences["features"]


def _preparation(size: int) -> str:
    cropped = size > LARGEST_UNCROPPED_SIZE
    crop = f"the central square of {CROP_PROPORTION:g} of the shorter side, " if cropped else ""
    return f"{crop}bicubic resize to {size} x {size}, clipped to [0, 1]"


def _report(outputs: dict[str, np.ndarray], difference: float) -> None:
    shapes = (f"{name} [batch, {value.shape[1]}]" for name, value in outputs.items())
    print(f"  outputs   {', '.join(shapes)}, float32")
    print(
        f"  measured  features of {len(outputs['features'])} images differ from the checkpoint's "
        f"by {difference:.1e} of the largest at most"
    )
