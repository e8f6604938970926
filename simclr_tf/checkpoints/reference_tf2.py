"""The reference TF2 release's SavedModels and checkpoints, whose variables lie as its layers do.

Source: google-research/simclr, tf2/model.py and tf2/resnet.py. Its layers are kept in lists that
also hold layers without variables (pooling, identity, DropBlock), so it is order that counts, not
positions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from simclr_tf.checkpoints.object_paths import stored_keys

KIND = "reference release, TF2"
KNOWN_EXTRAS = re.compile(
    r"^_CHECKPOINTABLE_OBJECT_GRAPH$|^(global_step|save_counter|optimizer)/|/\.OPTIMIZER_SLOT/"
)

_LEAVES = "kernel|bias|gamma|beta|moving_mean|moving_variance"
_STEPS = re.compile(
    r"\d+|resnet_model|_projection_head|supervised_head|initial_conv_relu_max_pool|block_groups|"
    r"layers|(?:shortcut|conv2d_bn|projection|conv_relu_dropblock|linear)_layers|linear_layer|"
    r"se_layer|se_reduce|se_expand|conv2d(?:_0|_1|_fixed_padding)?|batch_norm_relu(?:_1)?|bn|"
    rf"bn_relu|dense|{_LEAVES}"
)
_STEM = re.compile(r"model/resnet_model/initial_conv_relu_max_pool/(\d+)/(.+)")
_BLOCK = re.compile(r"model/resnet_model/block_groups/(\d+)/layers/(\d+)/(\w+)/(\d+)/(.+)")
_GATE = re.compile(r"model/resnet_model/block_groups/(\d+)/layers/(\d+)/se_layer/(.+)")
_HEADS = (
    (r"model/_projection_head/linear_layers/(\d+)/dense/", r"projection_head/layers/\1/dense/"),
    (r"model/_projection_head/linear_layers/(\d+)/bn_relu/bn/", r"projection_head/layers/\1/norm/"),
    (r"model/supervised_head/linear_layer/dense/", "supervised_head/dense/"),
)
# What a layer of theirs is, by what lies in it: its variables' places there, and ours.
_CONV = {"conv2d/kernel": "kernel"}
_NORM = {f"bn/{leaf}": leaf for leaf in ("gamma", "beta", "moving_mean", "moving_variance")}
_GATES = {
    f"{theirs}/{leaf}": f"{ours}/{leaf}"
    for theirs, ours in (("se_reduce", "reduce"), ("se_expand", "expand"))
    for leaf in ("kernel", "bias")
}
_SELECTIVE = {
    "conv2d_fixed_padding/conv2d/kernel": "streams/kernel",
    "conv2d_0/kernel": "squeeze/kernel",
    "conv2d_1/kernel": "mix/kernel",
    **{f"batch_norm_relu/{theirs}": f"streams_norm/{ours}" for theirs, ours in _NORM.items()},
    **{f"batch_norm_relu_1/{theirs}": f"squeeze_norm/{ours}" for theirs, ours in _NORM.items()},
}


def map_variables(graph: Any, shapes: Mapping[str, list]) -> dict[str, str]:
    """Returns the path in this package of each variable, by its key in the checkpoint.

    Args:
      graph: the checkpoint's TrackableObjectGraph.
      shapes: of all that the checkpoint holds, by key.

    Returns:
      Nothing if this is no checkpoint of the reference release.
    """
    keys = stored_keys(graph, ["model"], _STEPS)
    return {keys[theirs]: ours for theirs, ours in _translate(keys) if keys[theirs] in shapes}


def _translate(paths: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (path in the reference, path in this package) for every path that is known."""
    layers: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        if match := _STEM.fullmatch(path):
            layers["encoder/stem"][int(match[1])][match[2]] = path
        elif match := _BLOCK.fullmatch(path):
            place = f"encoder/block_groups/{match[1]}/blocks/{match[2]}/{match[3]}"
            layers[place][int(match[4])][match[5]] = path
        elif match := _GATE.fullmatch(path):
            place = f"encoder/block_groups/{match[1]}/blocks/{match[2]}/excitation"
            if match[3] in _GATES:
                yield path, f"{place}/{_GATES[match[3]]}"
        else:
            for theirs, ours in _HEADS:
                if re.match(theirs, path):
                    yield path, re.sub(theirs, ours, path)
    for place, by_index in layers.items():
        ordered = [by_index[index] for index in sorted(by_index)]
        for (name, known), variables in zip(_names(place, ordered), ordered):
            for theirs, path in variables.items():
                if theirs in known:
                    yield path, f"{name}/{known[theirs]}"


def _names(place: str, ordered: list[dict[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields, for each layer of one list, its path in this package and the table of its leaves."""
    block, _, kind = place.rpartition("/")
    convolutions = 0
    for position, variables in enumerate(ordered):
        known = next(
            (
                table
                for table in (_CONV, _NORM, _SELECTIVE, _GATES)
                if variables.keys() <= table.keys()
            ),
            {},
        )
        convolutions += known is _CONV or known is _SELECTIVE
        if kind == "stem":
            last = position == len(ordered) - 1
            name = f"{place}/norm" if last else f"{place}/layers/{position}"
        elif kind in ("shortcut_layers", "projection_layers"):
            name = f"{block}/shortcut/{'conv' if known is _CONV else 'norm'}"
        elif known is _GATES:
            name = f"{block}/excitation"
        else:
            name = f"{block}/{'norm' if known is _NORM else 'conv'}{convolutions}"
        yield name, known
