"""Who wrote a PyTorch file, by the names of its tensors, and what follows from that.

That is what of it is of no use here, and how the network was fed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of red, green and blue: torchvision's, lightly's and timm's default."""
# solo-learn's, by the name of the data set. Source: solo/data/pretrain_dataloader.py.
_OF_SOLO_LEARN = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """The names that a code base gives to tensors.

    Attributes:
      name: of the code base.
      sign: a name that tells it from the others.
      left_out: what is of no use here, and patterns of its tensors' names.
      stem_padding: of its 3x3 stem.
    """

    name: str
    sign: re.Pattern[str]
    left_out: Mapping[str, re.Pattern[str]]
    stem_padding: int = 1

    def without_use(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Returns the tensors to leave out, by what they are."""
        found: dict[str, list[str]] = {}
        for name in names:
            for meaning, pattern in self.left_out.items():
                if pattern.fullmatch(name):
                    found.setdefault(meaning, []).append(name)
                    break
        return found


def _patterns(**of: str) -> dict[str, re.Pattern[str]]:
    return {meaning.replace("_", " "): re.compile(pattern) for meaning, pattern in of.items()}


# The first whose sign is found counts. A projection head that is left out has biases, or lacks
# batch normalization, which this package's do not.
_LAYOUTS = (
    Layout(
        "MoCo",
        re.compile(r"(module\.)?encoder_q\.conv1\.weight"),
        _patterns(
            momentum_encoder=r"(module\.)?encoder_k\..*",
            queue=r"(module\.)?queue(_ptr)?",
            projection_head=r"(module\.)?encoder_q\.fc\..*",
        ),
    ),
    Layout(
        "sthalles/SimCLR",
        re.compile(r"backbone\.fc\.2\.weight"),
        _patterns(projection_head=r"backbone\.fc\..*"),
    ),
    Layout(
        "solo-learn",
        re.compile(r"(projector|classifier)\.(\d+\.)?weight"),
        _patterns(
            momentum_networks=r"momentum_.*",
            projection_head=r"projector\..*",
            predictor=r"(predictor|prototypes)\..*",
            queue=r"queue(_\w+)?",
        ),
        stem_padding=2,
    ),
    Layout(
        "lightly-train",
        re.compile(r"embedding_model\.wrapped_model\._\w+\.conv1\.weight"),
        _patterns(untrained_classifier=r"embedding_model\.wrapped_model\._model\.fc\..*"),
    ),
    Layout("lightly", re.compile(r"(.*\.)?projection_head\.layers\.\d+\.weight"), {}),
    Layout("torchvision or timm", re.compile(r"(.*\.)?(conv1|0)\.weight"), {}),
)


def recognize(names: Iterable[str]) -> Layout | None:
    """Returns the layout of a file whose tensors have these names; None for none that is known."""
    names = list(names)
    return next((layout for layout in _LAYOUTS if any(map(layout.sign.fullmatch, names))), None)


def stated_normalization(
    layout: Layout | None, settings: Mapping[str, Any]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns mean and deviation of the colors if the file's configuration says them, else None.

    Args:
      layout: of the file.
      settings: what lies beside the tensors, from `pytorch_file.read`.
    """
    if layout is None:
        return None
    if layout.name == "lightly-train":
        mean, std = (tuple(settings.get(name) or ()) for name in ("mean", "std"))
        return (mean, std) if len(mean) == len(std) == 3 else None
    if layout.name == "solo-learn":
        return _OF_SOLO_LEARN.get(str(settings.get("dataset")))
    return None
