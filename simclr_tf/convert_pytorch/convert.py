"""Makes a checkpoint for `--checkpoint` out of PyTorch weights.

    python -m simclr_tf.convert_pytorch --input=FILE --output=FOLDER

Takes lightly's and torchvision's ResNets, with SimCLR's projection head and a linear classifier
if there are any, from .safetensors, .pt, .pth or Lightning's .ckpt files. The network made of them
is laid out as PyTorch's, and normalizes images itself, so that its features are the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import uuid
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from simclr_tf import config as config_lib
from simclr_tf import files
from simclr_tf.checkpoints.infer_architecture import CLASSIFIER, default_image_size, infer_architecture
from simclr_tf.checkpoints.description import FILE_NAME, make_metadata
from simclr_tf.convert_pytorch.pytorch_file import read_tensors
from simclr_tf.convert_pytorch.pytorch_names import as_stored_here, map_names
from simclr_tf.checkpoints.variables import variables_by_path
from simclr_tf.errors import UserError
from simclr_tf.training.build import build_plain
from simclr_tf.models.normalization import EPSILON

IMAGENET = (0.485, 0.456, 0.406, 0.229, 0.224, 0.225)
"""Mean and standard deviation of red, green and blue, torchvision's and lightly's default."""


def convert(
    source: str,
    output: str,
    *,
    drop: Sequence[str] = (),
    normalization: Sequence[float] = IMAGENET,
    image_size: int | None = None,
    epsilon: float = EPSILON,
) -> str:
    """Writes `output`: a checkpoint and its simclr.json, whole or not at all.

    Args:
      source: the file.
      output: a folder that does not exist yet.
      drop: prefixes of tensors to leave out.
      normalization: mean and standard deviation of red, green and blue, that training took off
        and divided by.
      image_size: on which it was trained; 224, or 32 with the small stem, if None.
      epsilon: of the batch normalizations.

    Returns:
      What was converted, in words.

    Raises:
      UserError: the file cannot be read, or is of another kind of network.
    """
    if tf.io.gfile.exists(output):
        raise UserError(f"--output={output} exists; give a new folder")
    label = f"--input={source}"
    tensors = {
        name: value
        for name, value in read_tensors(source).items()
        if not name.startswith(tuple(drop))
    }
    names, stem_relu = map_names(tensors, label)
    values = {path: as_stored_here(path, tensors[name], epsilon) for name, path in names.items()}
    config = _config_of(values, label, normalization, image_size)
    config = dataclasses.replace(config, stem_relu=stem_relu)
    classes = values[CLASSIFIER].shape[-1] if CLASSIFIER in values else None
    network = build_plain(config, classes)
    _assign(variables_by_path(network.parts), values, label)
    metadata = make_metadata(config, num_classes=classes)
    metadata |= {"dataset": None, "converted_from": source.rpartition("/")[2]}

    aside = f"{output.rstrip('/')}.{uuid.uuid4().hex}.tmp"
    tf.io.gfile.makedirs(aside)
    tf.train.Checkpoint(**network.parts).write(files.join(aside, "ckpt-0"))
    files.write_json(files.join(aside, FILE_NAME), metadata)
    tf.io.gfile.rename(aside, output.rstrip("/"))
    head = f"projection head of {config.num_proj_layers} layers"
    return (
        f"{len(values)} tensors of {source}: ResNet-{config.resnet_depth}, width "
        f"{config.width_multiplier:g}, {config.image_size} px, "
        f"{head if config.proj_head_mode != 'none' else 'no projection head'}, "
        f"{f'classifier of {classes} classes' if classes else 'no classifier'}"
    )


def _config_of(
    values: dict[str, np.ndarray],
    label: str,
    normalization: Sequence[float],
    image_size: int | None,
) -> config_lib.Config:
    shapes = {path: value.shape for path, value in values.items()}
    architecture = infer_architecture(shapes, label)
    size = image_size or default_image_size(architecture)
    stem = architecture.pop("cifar_stem")
    architecture["torch_normalization"] = tuple(map(float, normalization))
    config = dataclasses.replace(config_lib.defaults(), **architecture, image_size=size)
    if config.cifar_stem != stem:
        raise UserError(
            f"--image_size={size} does not go with the first layer of {label}: "
            f"{config_lib.CIFAR_STEM_UP_TO} px and below have one of 3x3 pixels"
        )
    return config


def _assign(variables: dict[str, tf.Variable], values: dict[str, np.ndarray], label: str) -> None:
    wrong = sorted(
        path
        for path in variables.keys() | values.keys()
        if path not in variables
        or path not in values
        or tuple(variables[path].shape) != values[path].shape
    )
    if wrong:
        raise UserError(
            f"{label} is no ResNet of simclr_tf: {len(wrong)} variables are missing, of another "
            f"shape or too many: {', '.join(wrong[:3])}"
        )
    for path, value in values.items():
        variables[path].assign(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m simclr_tf.convert_pytorch", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--input", required=True, help=".safetensors, .pt, .pth or .ckpt file")
    parser.add_argument("--output", required=True, help="folder to make, for --checkpoint")
    parser.add_argument("--drop", default="", help="prefixes of tensors to leave out: a,b")
    parser.add_argument("--mean", default=_joined(IMAGENET[:3]), help="of red, green and blue")
    parser.add_argument("--std", default=_joined(IMAGENET[3:]), help="of red, green and blue")
    parser.add_argument("--image_size", type=int, help="pixels; 224, or 32 with a stem of 3x3")
    parser.add_argument("--epsilon", type=float, default=EPSILON, help="of batch normalizations")
    flags = parser.parse_args(argv)
    try:
        done = convert(
            flags.input,
            flags.output,
            drop=[prefix for prefix in flags.drop.split(",") if prefix],
            normalization=_numbers(flags.mean, "mean") + _numbers(flags.std, "std"),
            image_size=flags.image_size,
            epsilon=flags.epsilon,
        )
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    print(f"{done}\nuse it with --checkpoint={flags.output}")
    return 0


def _joined(numbers: Sequence[float]) -> str:
    return ",".join(map(str, numbers))


def _numbers(text: str, flag: str) -> list[float]:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or (flag == "std" and min(numbers) <= 0):
        raise UserError(f"--{flag}={text} must be three numbers, such as 0.5,0.5,0.5")
    return numbers
