"""SimCLR for TensorFlow: pre-train image encoders without labels, measure them, serve them.

Papers: v1 https://arxiv.org/abs/2002.05709, v2 https://arxiv.org/abs/2006.10029.

Importing the package is quick: TensorFlow is imported with the first of the names below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from simclr_tf import compat
from simclr_tf.architecture import Architecture
from simclr_tf.version import __version__

if TYPE_CHECKING:
    from simclr_tf.augmentation import SimCLRViews, SupervisedView
    from simclr_tf.losses import NTXent, nt_xent
    from simclr_tf.models import ProjectionHead, ResNet, SupervisedHead
    from simclr_tf.optimizers import LARS, WarmUpCosine
    from simclr_tf.training.classifier import Classifier
    from simclr_tf.training.simclr import SimCLR

__all__ = [
    "LARS",
    "Architecture",
    "Classifier",
    "NTXent",
    "ProjectionHead",
    "ResNet",
    "SimCLR",
    "SimCLRViews",
    "SupervisedHead",
    "SupervisedView",
    "WarmUpCosine",
    "__version__",
    "nt_xent",
]

_HOMES = {
    "LARS": "optimizers",
    "Classifier": "training.classifier",
    "NTXent": "losses",
    "ProjectionHead": "models",
    "ResNet": "models",
    "SimCLR": "training.simclr",
    "SimCLRViews": "augmentation",
    "SupervisedHead": "models",
    "SupervisedView": "augmentation",
    "WarmUpCosine": "optimizers",
    "nt_xent": "losses",
}

compat.choose_keras()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    compat.import_tensorflow()
    compat.settle_keras()
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # so that the next look does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
