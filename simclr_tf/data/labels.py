"""Which images of a split have a label, and whose class is which."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from simclr_tf.paths import composed

# The label of an image that has none.
NO_LABEL = -1

_ALL_SHOWN, _SOME_SHOWN = 20, 10  # classes


@dataclasses.dataclass(frozen=True)
class LabelSample:
    """Labels of the first images of a split, or of a part of one such as `train` of `train+test`.

    Attributes:
      part: in TFDS's syntax.
      labels: int64 [n], `NO_LABEL` where there is none.
      total: number of images of the part.
    """

    part: str
    labels: np.ndarray
    total: int

    @property
    def whole(self) -> bool:
        """Whether these are the labels of all images."""
        return len(self.labels) == self.total

    def describe(self) -> str:
        """Returns what is to be said of images without a label, "" where none was seen."""
        labeled = int(np.sum(self.labels != NO_LABEL))
        if labeled == len(self.labels):
            return ""
        first = "" if self.whole else "first "
        if not labeled:
            return f"none of the {first}{len(self.labels):,} images of {self.part} has a label"
        if self.whole:
            return f"{labeled:,} of the {self.total:,} images of {self.part} have a label"
        return f"some images of {self.part} have no label"


def what_is_missing(
    samples: Sequence[LabelSample], class_names: Sequence[str], classes: int
) -> str | None:
    """Returns why labels are too few, or None where they may be enough.

    Args:
      samples: of all parts of the split.
      class_names: in the order of their numbers.
      classes: how many must be there: two to learn from, one to measure by.
    """
    labels = np.concatenate([sample.labels for sample in samples])
    found = np.unique(labels[labels != NO_LABEL])
    whole = all(sample.whole for sample in samples)
    if not len(found):
        first = "" if whole else "first "
        return f"none of the {first}{len(labels):,} images has a class label"
    if classes > min(len(class_names), len(found) if whole else classes):
        only = class_names[found[0]]
        return f"all labels are of one class, {only}, and there is no other to tell it from"
    return None


def describe_classes(names: Sequence[str], samples: Sequence[LabelSample]) -> str:
    """Returns the classes by name, with how many images each has where that is known.

    Args:
      names: in the order of their numbers.
      samples: labels of all parts of a split.
    """
    counts = None
    if all(sample.whole for sample in samples):
        labels = np.concatenate([sample.labels for sample in samples])
        counts = np.bincount(labels[labels != NO_LABEL], minlength=len(names))
    few = len(names) <= _ALL_SHOWN
    shown = list(names if few else names[:_SOME_SHOWN])
    if counts is not None:
        shown = [f"{name} {count:,}" for name, count in zip(shown, counts)]
    text = f"{len(names):,} classes: " if len(names) != 1 else "1 class: "
    text += ", ".join(shown)
    if not few:
        text += f" and {len(names) - _SOME_SHOWN:,} more"
        if counts is not None:
            text += f"; {counts.min():,} to {counts.max():,} images each"
    return text


def balanced_subset(labels: np.ndarray, per_class: int, *, seed: int) -> np.ndarray:
    """Returns the places of so many random examples of each class, int64 [n], ascending.

    All are taken of a class that has fewer, and no others in their stead.

    Args:
      labels: int64 [examples], `NO_LABEL` where there is none.
      per_class: how many of each, at least 1.
      seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    chosen = [np.zeros(0, np.int64)]
    for label in np.unique(labels[labels != NO_LABEL]):
        members = np.flatnonzero(labels == label)
        count = min(per_class, len(members))
        chosen.append(generator.choice(members, count, replace=False))
    return np.sort(np.concatenate(chosen))


def number_classes(own: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Returns the number among `wanted` of each of `own` names, int64, `NO_LABEL` where it is not.

    A name that was copied from a Mac may be composed of other characters: that is the same name.
    """
    numbers = {composed(name): number for number, name in enumerate(wanted)}
    numbers.update({name: number for number, name in enumerate(wanted)})
    found = [numbers.get(name, numbers.get(composed(name), NO_LABEL)) for name in own]
    return np.array(found, np.int64)
