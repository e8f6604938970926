"""The reference TF1 release's checkpoints and hub modules, whose variables are numbered as made.

Source: google-research/simclr, resnet.py and model_util.py. `conv2d_7` is the eighth convolution
that the forward pass calls; which one that is follows from the architecture, of which only one
makes convolutions of these kernel sizes in this order.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from simclr_tf.errors import UserError
from simclr_tf.models.blocks import BottleneckBlock
from simclr_tf.models.resnet import LAYOUTS

KIND = "reference release, TF1"
KNOWN_EXTRAS = re.compile(
    r"^global_step$|^beta[12]_power$|/(Momentum|LARSOptimizer|Adam|Adam_1)(_\d+)?$"
)

LEAVES = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")

_NUMBERED = re.compile(r"base_model/(conv2d|batch_normalization)(?:_(\d+))?/(\w+)")
_PROJECTION = re.compile(r"head_contrastive/n?l_(\d+)/(dense|batch_normalization)/(\w+)")
_CLASSIFIER = re.compile(r"head_supervised/linear_layer/dense/(kernel|bias)")
_STEMS = {"cifar": (3,), "plain": (7,), "deep": (3, 3, 3)}

Layer = tuple[str, int, bool]
"""Path in this package, kernel size (0: a batch normalization), whether it has a bias."""


def map_variables(shapes: Mapping[str, list], source: str) -> dict[str, str]:
    """Returns the path in this package of each variable, by its name in the checkpoint.

    Args:
      shapes: of all that the checkpoint holds, by name.
      source: for messages.

    Returns:
      Nothing if this is no checkpoint of the reference release.

    Raises:
      UserError: it is one, of a network that this package does not have.
    """
    numbered: dict[str, dict[int, dict[str, str]]] = {"conv2d": {}, "batch_normalization": {}}
    found: dict[str, str] = {}
    for name in shapes:
        if match := _NUMBERED.fullmatch(name):
            layers = numbered[match[1]]
            layers.setdefault(int(match[2] or 0), {})[match[3]] = name
        elif match := _PROJECTION.fullmatch(name):
            kind = "dense" if match[2] == "dense" else "norm"
            found[name] = f"projection_head/layers/{match[1]}/{kind}/{match[3]}"
        elif match := _CLASSIFIER.fullmatch(name):
            found[name] = f"supervised_head/dense/{match[1]}"
    if not numbered["conv2d"]:
        return {}
    convolutions, norms = ([layers[i] for i in sorted(layers)] for layers in numbered.values())
    architecture = next(
        (a for a in _candidates() if _matches(a, convolutions, norms, shapes)), None
    )
    if architecture is None:
        raise UserError(
            f"{source} is of the reference's TF1 release, but its {len(convolutions)} "
            f"convolutions and {len(norms)} batch normalizations (base_model/conv2d/kernel, ...) "
            "make no ResNet that simclr_tf has"
        )
    in_order = {True: iter(convolutions), False: iter(norms)}
    for path, size, _ in architecture:
        for leaf, name in next(in_order[size > 0]).items():
            if leaf in LEAVES:
                found[name] = f"{path}/{leaf}"
    return found


def _matches(
    layers: list[Layer],
    convolutions: list[dict[str, str]],
    norms: list[dict[str, str]],
    shapes: Mapping[str, list],
) -> bool:
    kernels = [layer for layer in layers if layer[1]]
    return (
        len(layers) - len(kernels) == len(norms)
        and len(kernels) == len(convolutions)
        and all(
            "kernel" in there and shapes[there["kernel"]][0] == size and ("bias" in there) == biased
            for (_, size, biased), there in zip(kernels, convolutions)
        )
    )


def _candidates() -> Iterator[list[Layer]]:
    """Yields the layers of every architecture, in the order of the forward pass."""
    for depth, stem, selective, gated in itertools.product(
        LAYOUTS, _STEMS, (False, True), (False, True)
    ):
        block, counts = LAYOUTS[depth]
        bottleneck = block is BottleneckBlock
        # The TF1 release's small blocks pool their own input too where there are selective
        # kernels: another network than the TF2 release's, and than this package's.
        if (selective or stem == "deep") and not bottleneck:
            continue
        if (stem == "plain" and selective) or (stem == "deep" and not selective):
            continue
        layers = list(_stem(_STEMS[stem]))
        for group, count in enumerate(counts):
            for position in range(count):
                place = f"encoder/block_groups/{group}/blocks/{position}"
                layers += _block(place, position == 0, bottleneck, selective, gated)
        yield layers


def _stem(sizes: tuple[int, ...]) -> Iterator[Layer]:
    for index, size in enumerate(sizes):
        yield f"encoder/stem/layers/{2 * index}", size, False
        last = index == len(sizes) - 1
        yield f"encoder/stem/{'norm' if last else f'layers/{2 * index + 1}'}", 0, False


def _block(
    place: str, project: bool, bottleneck: bool, selective: bool, gated: bool
) -> Iterator[Layer]:
    if project:
        yield f"{place}/shortcut/conv", 1, False
        yield f"{place}/shortcut/norm", 0, False
    for index, size in enumerate((1, 3, 1) if bottleneck else (3, 3), start=1):
        if selective and index == 2:
            yield f"{place}/conv2/streams", 3, False
            yield f"{place}/conv2/streams_norm", 0, False
            yield f"{place}/conv2/squeeze", 1, False
            yield f"{place}/conv2/squeeze_norm", 0, False
            yield f"{place}/conv2/mix", 1, False
        else:
            yield f"{place}/conv{index}", size, False
            yield f"{place}/norm{index}", 0, False
    if gated:
        yield f"{place}/excitation/reduce", 1, True
        yield f"{place}/excitation/expand", 1, True
