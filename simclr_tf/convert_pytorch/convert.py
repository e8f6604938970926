"""Makes a checkpoint out of PyTorch weights.

Takes the ResNets of the code bases in `layouts`, with SimCLR's projection head and a linear
classifier if there are any that this package's are like, from .safetensors, .pt, .pth or
Lightning's .ckpt files. The network made of them is laid out as PyTorch's, and normalizes images
itself, so that its features are the same.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import files
from simclr_tf.architecture import (
    CIFAR_STEM_UP_TO,
    IMAGE_SIZE,
    STEM_PADDING,
    Architecture,
    uses_cifar_stem,
)
from simclr_tf.bounds import Range
from simclr_tf.checkpoints.description import FILE_NAME, Description
from simclr_tf.checkpoints.infer_architecture import (
    CLASSIFIER,
    default_image_size,
    infer_architecture,
)
from simclr_tf.checkpoints.variables import variables_by_path
from simclr_tf.convert_pytorch import layouts, pytorch_file
from simclr_tf.convert_pytorch.pytorch_names import as_stored_here, map_names
from simclr_tf.errors import SettingError, UserError, first_line
from simclr_tf.models.normalization import EPSILON
from simclr_tf.paths import clean
from simclr_tf.training.build import build_plain


def convert(
    file: str,
    output: str,
    *,
    drop: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | None = None,
    stem_padding: int | None = None,
    epsilon: float = EPSILON,
) -> str:
    """Writes `output`: a checkpoint and its simclr.json, whole or not at all.

    Args:
      file: the PyTorch file; `input` in messages, as the command names it.
      output: a folder that does not exist yet.
      drop: prefixes of tensors to leave out.
      mean: of red, green and blue, which training subtracted; what the file says, or ImageNet's,
        if None.
      std: of red, green and blue, which training divided by; see `mean`.
      image_size: pixels that it was trained on; 224, or 32 with the small stem, if None.
      stem_padding: pixels around images before a 3x3 stem; what the code base that wrote the file
        uses, 1 or 2, if None.
      epsilon: of the batch normalizations.

    Returns:
      What was converted, and what was assumed, in words; several lines.

    Raises:
      UserError: a setting cannot be, the file cannot be read, or is of another kind of network.
    """
    file, output = clean(file, "input"), clean(output, "output")
    _check_settings(mean, std, image_size, stem_padding, epsilon)
    files.check_reachable("input", file)
    files.check_reachable("output", output)
    if tf.io.gfile.exists(output):
        raise SettingError("output", output, "exists", "give a new folder")
    label = f"`input={file}`"
    tensors, settings = pytorch_file.read(file)
    tensors = {n: value for n, value in tensors.items() if not n.startswith(tuple(drop))}
    layout = layouts.recognize(tensors)
    without_use = layout.without_use(tensors) if layout else {}
    for names in without_use.values():
        for name in names:
            del tensors[name]
    paths, stem_relu = map_names(tensors, label)
    values = {path: as_stored_here(path, tensors[name], epsilon) for name, path in paths.items()}
    architecture = infer_architecture({path: value.shape for path, value in values.items()}, label)
    if stem_padding is None:
        stem_padding = layout.stem_padding if layout and architecture.cifar_stem else 1
    stated = layouts.stated_normalization(layout, settings)
    normalization = [
        given if given is not None else usual
        for given, usual in zip((mean, std), stated or layouts.IMAGENET)
    ]
    architecture = dataclasses.replace(
        architecture,
        torch_normalization=tuple(float(number) for three in normalization for number in three),
        stem_relu=stem_relu,
        stem_padding=stem_padding,
    ).check()
    description = Description(
        architecture,
        _choose_image_size(image_size, architecture, label),
        train_mode="pretrain",
        num_classes=values[CLASSIFIER].shape[-1] if CLASSIFIER in values else None,
    )
    network = build_plain(architecture, description.num_classes)
    _assign(variables_by_path(network.parts), values, label)
    _write(output, network.parts, description, file)
    return "\n".join(
        [
            f"{len(values)} tensors of {file}: {_in_words(description)}",
            f"  names as {layout.name} gives them" if layout else "  names of no code base known",
            *(f"  left out: {what}, {len(names)} tensors" for what, names in without_use.items()),
            _say_normalization(normalization, given=mean or std, stated=stated),
            *([_say_padding(stem_padding)] if architecture.cifar_stem else []),
        ]
    )


def _say_normalization(normalization: Sequence[Any], *, given: Any, stated: Any) -> str:
    mean, std = (",".join(f"{number:g}" for number in three) for three in normalization)
    source = "as the file says" if stated else "assumed; other values: --mean, --std"
    return f"  images normalized by {mean} and {std} ({'as asked' if given else source})"


def _say_padding(padding: int) -> str:
    return f"  3x3 stem padded by {padding} (another value: --stem_padding)"


def _check_settings(
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    image_size: int | None,
    stem_padding: int | None,
    epsilon: float,
) -> None:
    for name, given, bound, kind in (
        ("mean", mean, Range(-math.inf), "numbers"),
        ("std", std, Range(0.0, above_low=True), "numbers above 0"),
    ):
        if given is None:
            continue
        numbers = tuple(map(float, given))
        if len(numbers) != 3 or not all(map(bound.allows, numbers)):
            raise SettingError(name, numbers, f"must be three {kind}, such as 0.5,0.5,0.5")
    whole = isinstance(image_size, int) and IMAGE_SIZE.allows(image_size)
    if image_size is not None and not whole:
        raise SettingError("image_size", image_size, f"must be {IMAGE_SIZE}")
    if stem_padding is not None and not STEM_PADDING.allows(stem_padding):
        raise SettingError("stem_padding", stem_padding, f"must be {STEM_PADDING}")
    if not Range(0.0).allows(epsilon):
        raise SettingError("epsilon", epsilon, "must be finite and at least 0")


def _choose_image_size(asked: int | None, architecture: Architecture, label: str) -> int:
    """Raises SettingError where what is asked for goes with another stem."""
    size = asked or default_image_size(architecture)
    if uses_cifar_stem(size) != architecture.cifar_stem:
        raise SettingError(
            "image_size",
            size,
            f"does not go with the first layer of {label}: {CIFAR_STEM_UP_TO} px and below have "
            "one of 3x3 pixels",
        )
    return size


def _assign(
    variables: Mapping[str, tf.Variable], values: Mapping[str, np.ndarray], label: str
) -> None:
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


def _write(output: str, parts: Mapping[str, Any], description: Description, file: str) -> None:
    """Writes aside, then renames: there is a whole checkpoint at `output`, or none."""
    aside = f"{output}.{uuid.uuid4().hex}.tmp"
    content = {**description.to_json(), "converted_from": file.rpartition("/")[2]}
    try:
        with files.gone_if_unfinished(aside):
            tf.io.gfile.makedirs(aside)
            tf.train.Checkpoint(**parts).write(files.join(aside, "ckpt-0"))
            files.write_json(files.join(aside, FILE_NAME), content)
            tf.io.gfile.rename(aside, output)
    except (OSError, tf.errors.OpError) as error:
        raise SettingError("output", output, f"cannot be written: {first_line(error)}") from None


def _in_words(description: Description) -> str:
    classes = description.num_classes
    layers = description.architecture.projection_layers
    return (
        f"{description.architecture}, {description.image_size} px, "
        f"{f'projection head of {layers} layers' if layers else 'no projection head'}, "
        f"{f'classifier of {classes} classes' if classes else 'no classifier'}"
    )
