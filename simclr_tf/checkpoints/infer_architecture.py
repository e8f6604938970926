"""What network variables belong to, told from their paths and shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from simclr_tf.architecture import CIFAR_STEM_UP_TO, Architecture
from simclr_tf.errors import UserError
from simclr_tf.models.blocks import BottleneckBlock, reduced_width, squeezed_width
from simclr_tf.models.resnet import LAYOUTS, scale_width

Shapes = Mapping[str, Sequence[int]]

PAPER_SK_RATIO = 0.0625  # of SimCLRv2; networks of other ratios are told by their shapes

STEM = "encoder/stem/layers"
GROUPS = "encoder/block_groups"
PROJECTION = "projection_head/layers"
_SQUEEZE = "conv2/squeeze/kernel"
_REDUCE = "excitation/reduce/kernel"
CLASSIFIER = "supervised_head/dense/kernel"


def infer_architecture(shapes: Shapes, source: str) -> Architecture:
    """Returns what a network with these variables is, as far as they tell.

    Args:
      shapes: of the variables, by their paths in this package.
      source: for messages.

    Raises:
      UserError: they are not those of a ResNet that this package has.
    """
    stem = [shapes[f"{STEM}/{i}/kernel"] for i in _counted(shapes, f"{STEM}/%d/kernel", step=2)]
    blocks = _block_counts(shapes)
    bottleneck = f"{GROUPS}/0/blocks/0/conv3/kernel" in shapes
    found = [
        depth
        for depth, (block, counts) in LAYOUTS.items()
        if counts == blocks and (block is BottleneckBlock) == bottleneck
    ]
    if not found or len(stem) not in (1, 3) or any(len(shape) != 4 for shape in stem):
        raise UserError(
            f"{source} holds no ResNet of simclr_tf: it has {len(stem)} convolutions in the stem "
            f"and {', '.join(map(str, blocks))} blocks; variables such as "
            f"{', '.join(sorted(shapes)[:3])}"
        )
    architecture = Architecture(
        resnet_depth=found[0],
        width_multiplier=stem[-1][-1] / 64,
        sk_ratio=_sk_ratio(shapes, deep_stem=len(stem) == 3),
        se_ratio=_se_ratio(shapes),
        cifar_stem=len(stem) == 1 and stem[0][0] == 3,
        **_projection(shapes),
    )
    for problem in architecture.problems():
        raise UserError(
            f"{source} holds no ResNet of simclr_tf: {problem.field} {problem.value} "
            f"{problem.reason}"
        )
    return architecture


def contradictions(architecture: Architecture, shapes: Shapes) -> Iterator[str]:
    """Yields each field of a stored `architecture` that is wrong, and the variable that shows it.

    Called before the network is built: a wrong number could ask for any amount of memory.
    """
    there = infer_architecture(shapes, "the checkpoint")
    if architecture.resnet_depth != there.resnet_depth:
        yield _differs("resnet_depth", architecture, there, f"{GROUPS}/...")
    last = max(_counted(shapes, f"{STEM}/%d/kernel", step=2))
    if architecture.cifar_stem != there.cifar_stem:
        yield _differs("cifar_stem", architecture, there, f"{STEM}/{last}/kernel")
    channels = scale_width(64, architecture.width_multiplier)
    if channels != shapes[f"{STEM}/{last}/kernel"][-1]:
        yield _differs("width_multiplier", architecture, there, f"{STEM}/{last}/kernel")
    for name, path, expected in (
        ("sk_ratio", _SQUEEZE, squeezed_width),
        ("se_ratio", _REDUCE, reduced_width),
    ):
        ratio = getattr(architecture, name)
        block = LAYOUTS[architecture.resnet_depth][0]
        if name == "sk_ratio" and architecture.cifar_stem and block is not BottleneckBlock:
            continue  # it changes how shortcuts average, and no variable
        fits = all(expected(n, ratio) == width for n, width in _bottlenecks(shapes, path))
        if (ratio > 0) != (getattr(there, name) > 0) or not fits:
            yield _differs(name, architecture, there, f"{GROUPS}/3/blocks/0/{path}")
    layers, here = architecture.projection_layers, there.projection_layers
    if layers != here:
        yield f"a projection head of {layers} layers, the checkpoint has {here} ({PROJECTION}/...)"
    elif layers and architecture.proj_out_dim != there.proj_out_dim:
        yield _differs("proj_out_dim", architecture, there, f"{PROJECTION}/{layers - 1}/dense")


def default_image_size(architecture: Architecture) -> int:
    """Returns what to assume where a checkpoint does not say on what size it was trained."""
    return CIFAR_STEM_UP_TO if architecture.cifar_stem else 224


def _differs(name: str, stated: Architecture, there: Architecture, path: str) -> str:
    return f"{name}={getattr(stated, name)}, the checkpoint has {getattr(there, name)} ({path})"


def _counted(shapes: Shapes, pattern: str, step: int = 1) -> Iterator[int]:
    """Yields 0, step, ... as long as there is a variable of that number."""
    index = 0
    while pattern % index in shapes:
        yield index
        index += step


def _block_counts(shapes: Shapes) -> tuple[int, ...]:
    counts = []
    for group in _counted(shapes, f"{GROUPS}/%d/blocks/0/conv1/kernel"):
        counts.append(len(list(_counted(shapes, f"{GROUPS}/{group}/blocks/%d/conv1/kernel"))))
    return tuple(counts)


def _projection(shapes: Shapes) -> dict[str, Any]:
    """Returns the fields of the projection head: `none`, or a nonlinear one of so many layers."""
    layers = len(list(_counted(shapes, f"{PROJECTION}/%d/dense/kernel")))
    if not layers:
        return {"proj_head_mode": "none"}
    last = shapes[f"{PROJECTION}/{layers - 1}/dense/kernel"]
    return {"proj_out_dim": _width(last), "num_proj_layers": layers}


def _sk_ratio(shapes: Shapes, *, deep_stem: bool) -> float:
    """Returns 0.0625 where it fits, else another ratio that does; 0 without selective kernels."""
    pairs = _bottlenecks(shapes, _SQUEEZE)
    if not pairs:
        return PAPER_SK_RATIO if deep_stem else 0.0
    return _ratio(pairs, squeezed_width, PAPER_SK_RATIO)


def _se_ratio(shapes: Shapes) -> float:
    pairs = _bottlenecks(shapes, _REDUCE)
    return _ratio(pairs, reduced_width, 0.25) if pairs else 0.0


def _bottlenecks(shapes: Shapes, name: str) -> list[tuple[int, int]]:
    """Returns a block's filters and the width of the kernel of that name, for each group with one.

    The filters are those of the first convolution: a bottleneck block has four times as many
    outputs, and its excitation, which reads these, is narrowed from the filters all the same.
    """
    blocks = (f"{GROUPS}/{group}/blocks/0" for group in range(4))
    return [
        (_width(shapes[f"{block}/conv1/kernel"]), _width(shapes[f"{block}/{name}"]))
        for block in blocks
        if f"{block}/{name}" in shapes
    ]


def _width(shape: Sequence[int]) -> int:
    """Returns the number of outputs of a kernel; 0 for what cannot be one."""
    return shape[-1] if shape else 0


def _ratio(pairs: list[tuple[int, int]], width: Callable[[int, float], int], usual: float) -> float:
    """Returns a ratio that makes each pair's second number out of its first."""
    if all(width(wide, usual) == narrow for wide, narrow in pairs):
        return usual
    wide, narrow = pairs[-1]
    # The division may round down to a hair below; int() would then lose one.
    return math.nextafter(narrow / max(wide, 1), 1.0)
