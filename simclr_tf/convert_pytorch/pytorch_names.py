"""Which variable of this package a tensor of a PyTorch network is.

Known are torchvision's ResNets and what is built on them, lightly's among them: by attribute
names (`conv1`, `layer1.0.bn2`) or, in an nn.Sequential, by position (`0`, `4.0.bn2`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from simclr_tf.errors import UserError
from simclr_tf.models.normalization import EPSILON

_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_COUNT = "num_batches_tracked"  # by each batch norm; of no use
_BLOCK = re.compile(r"(\d+)\.(conv|bn|downsample\.|shortcut\.)(\d)\.(\w+)")
_HEAD = re.compile(r"(?:.*\.)?(?:projection_head|projector|proj_head)\.(?:layers\.)?(\d+)\.(\w+)")
_CLASSIFIER = re.compile(r"(?:(?:.*\.)?online_classifier|classifier)\.(?:linear\.)?(weight|bias)")


def map_names(tensors: Mapping[str, np.ndarray], source: str) -> tuple[dict[str, str], bool]:
    """Returns the path in this package of each tensor, by its name, and `stem_relu`.

    Args:
      tensors: by name.
      source: for messages.

    Raises:
      UserError: there is no ResNet, more than one, or something that belongs to none.
    """
    tensors = {name: value for name, value in tensors.items() if not name.endswith(_COUNT)}
    stems = [name for name, value in tensors.items() if value.ndim == 4 and value.shape[1] == 3]
    if len(stems) != 1:
        raise UserError(
            f"{source} must hold one network for RGB images, not {len(stems)} "
            f"({', '.join(stems[:4]) or 'no such kernel'}); leave others out with "
            "`drop=PREFIX,...`"
        )
    stem = re.fullmatch(r"((?:.*\.)?)(conv1|0)\.weight", stems[0])
    if stem is None:
        raise UserError(
            f"{source}: {stems[0]} is not where torchvision's or lightly's ResNets have it"
        )
    prefix, kind = stem.groups()
    found = {stems[0]: "encoder/stem/layers/0/kernel"}
    norm = f"{prefix}bn1." if kind == "conv1" else f"{prefix}1."
    groups, between = _groups(tensors, prefix, sequential=kind == "0")
    if between < 2 and tensors[stems[0]].shape[-1] != 3:
        raise UserError(
            f"{source}: the layers after {stems[0]} lack torchvision's ReLU and pooling"
        )
    heads: dict[int, dict[str, str]] = {}
    for name in tensors:
        group = next((g for g in groups if name.startswith(g)), None)
        if name.startswith(norm) and name[len(norm) :] in _NORM:
            found[name] = f"encoder/stem/norm/{_NORM[name[len(norm) :]]}"
        elif group is not None:
            path = _in_block(name[len(group) :])
            if path:
                found[name] = f"encoder/block_groups/{groups.index(group)}/blocks/{path}"
        elif name in (f"{prefix}fc.weight", f"{prefix}fc.bias"):
            found[name] = f"supervised_head/dense/{_dense(name)}"
        elif match := _HEAD.fullmatch(name):
            heads.setdefault(int(match[1]), {})[match[2]] = name
    found |= _in_head([heads[i] for i in sorted(heads)], tensors, source)
    if f"{prefix}fc.weight" not in tensors:
        for name in filter(_CLASSIFIER.fullmatch, tensors):
            found[name] = f"supervised_head/dense/{_dense(name)}"
    strangers = sorted(tensors.keys() - found.keys())
    if strangers:
        raise UserError(
            f"{source} holds {len(strangers)} tensors that are not of a ResNet, its projection "
            f"head or classifier: {', '.join(strangers[:3])}; leave them out with "
            f"`drop={strangers[0].rpartition('.')[0] or strangers[0]},...`"
        )
    return found, between > 0


def as_stored_here(path: str, value: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    """Returns a tensor in this package's layout: channels last, inputs before outputs.

    Args:
      path: in this package.
      value: the tensor.
      epsilon: of the PyTorch network's batch normalizations. What it adds to each variance, and
        those of this package do not, goes into the variance itself.
    """
    if path.endswith("/moving_variance"):
        value = np.maximum(value + np.float32(epsilon - EPSILON), 0)
    if path.endswith("/kernel"):
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
    return value.astype(np.float32)


def _groups(
    tensors: Mapping[str, np.ndarray], prefix: str, *, sequential: bool
) -> tuple[list[str], int]:
    """Returns where the block groups lie, and how many layers are between the stem's and them.

    torchvision's network, taken apart into its layers, has ReLU and pooling at 2 and 3. Of
    lightly's ResNetGenerator they are not layers but calls, which get lost: groups begin at 2.
    """
    if not sequential:
        return [f"{prefix}layer{index}." for index in range(1, 5)], 2
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.0\.conv1\.weight")
    places = sorted(int(match[1]) for name in tensors if (match := pattern.fullmatch(name)))
    return [f"{prefix}{place}." for place in places], (places or [2])[0] - 2


def _in_block(name: str) -> str | None:
    match = _BLOCK.fullmatch(name)
    if not match:
        return None
    block, kind, number, leaf = match.groups()
    shortcut = kind in ("downsample.", "shortcut.")
    if kind == "conv" or (shortcut and number == "0"):
        place = "shortcut/conv" if shortcut else f"conv{number}"
        return f"{block}/{place}/kernel" if leaf == "weight" else None
    place = "shortcut/norm" if shortcut else f"norm{number}"
    return f"{block}/{place}/{_NORM[leaf]}" if leaf in _NORM else None


def _in_head(
    layers: list[dict[str, str]], tensors: Mapping[str, np.ndarray], source: str
) -> dict[str, str]:
    """Returns the paths of a projection head: dense layers, each followed by a batch norm."""
    found = {}
    for index, names in enumerate(layers):
        dense = index % 2 == 0
        wanted = {"weight"} if dense else set(_NORM)
        wide = tensors[names["weight"]].shape if "weight" in names else ()
        hidden = dense and index + 2 < len(layers)
        if (
            names.keys() != wanted
            or len(wide) != (2 if dense else 1)
            or (hidden and wide[0] != wide[1])
            or len(layers) % 2
        ):
            raise UserError(
                f"{source}: {', '.join(sorted(names.values()))}: simclr_tf's projection heads are "
                "dense layers without bias, as wide as the features but for the last, each "
                "followed by a batch normalization; leave this one out with "
                f"`drop={min(names.values()).rsplit('.', 2)[0]}`"
            )
        for leaf, name in names.items():
            place = "dense/kernel" if dense else f"norm/{_NORM[leaf]}"
            found[name] = f"projection_head/layers/{index // 2}/{place}"
    return found


def _dense(name: str) -> str:
    return "kernel" if name.endswith("weight") else "bias"
