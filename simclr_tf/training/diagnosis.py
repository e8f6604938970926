"""What measures of health mean, in words, and no more than they say.

The thresholds lie between what healthy and sick runs measured: docs/health.md has the table.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from simclr_tf.training import guessing

Figures = Mapping[str, float]

_COLLAPSED = 0.5  # deviation of z
_TIMES = 2  # that it was found so: once may be an accident
_FEW_OF_Z = 0.22  # RankMe of z, as a share of its LiDAR
_FEW_OF_H = 0.25  # likewise of h
_ALIKE_PIXELS = 0.3  # distance of two views of an image, as a share of that of two images'
_ALIKE = 0.03  # alignment, as a share of what it is about between views of different images
_STRANGERS = 0.9  # likewise
_BEYOND = 1.1  # likewise
_SHARP = 0.03  # temperature
_FAR_ABOVE = 1.5  # NT-Xent, as a multiple of that of views all alike
_FLAT = 0.9  # the least NT-Xent that a temperature allows, as a share of that of views all alike


class Diagnosis(NamedTuple):
    """What is found.

    Attributes:
      word: for a line of progress.
      reason: what it is told by, and what may be done.
    """

    word: str
    reason: str

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Judge:
    """Says what figures of projections mean.

    Args:
      batch: images a step.
      temperature: of NT-Xent; None where projections are not normalized, or the loss is another.
    """

    batch: int
    temperature: float | None

    def __call__(self, looks: Sequence[Figures]) -> Diagnosis:
        """Returns what the last look shows, and where it shows nothing what those before it did.

        Args:
          looks: what `measure_health` found of h and z, in the order of steps, one at least;
            `view_distance`; and, where it is known, `contrast_loss`, NT-Xent of the steps before.
            Of a run, those that `health.is_judged`.
        """
        last = looks[-1]
        if "not_finite" in last:
            return Diagnosis(
                "no numbers",
                f"in evaluation mode {last['not_finite']:.0%} of the views give h or z that are no "
                "numbers; the learning rate is too high",
            )
        word, found = _collapse(last)
        temperature = self._of_temperature(last, found)
        if temperature is not None:
            return temperature
        if word:
            return Diagnosis(
                word, f"{found}; usually the learning rate or the weight decay is too high"
            )
        if _apart(last) > _BEYOND:
            return Diagnosis(
                "learning rate too high",
                "in evaluation mode two views of an image are farther apart than two images "
                f"({_cosines(last)}): batch normalization's statistics do not keep up",
            )
        times = sum(look.get("deviation", 0.0) < _COLLAPSED for look in looks)
        if times >= _TIMES:
            return Diagnosis(
                "learning rate too high",
                f"z was collapsed at {times} of {len(looks)} looks, and no longer is since the "
                "learning rate has fallen",
            )
        return _of_views(last)

    def _of_temperature(self, look: Figures, found: str) -> Diagnosis | None:
        """Returns what is wrong with the temperature, where that is all that can be.

        Args:
          look: the last.
          found: of a collapse, "" for none.
        """
        if self.temperature is None:
            return None
        # Partners on one spot, all others opposite: no network does better.
        floor = 2 * math.log1p((2 * self.batch - 2) * math.exp(-2 / self.temperature))
        if floor > _FLAT * self._alike:
            return Diagnosis(
                "temperature too high",
                f"with {self.temperature:g} no NT-Xent is below {floor:.2f}, and of views all "
                f"alike it is {self._alike:.2f}",
            )
        times = look.get("contrast_loss", 0.0) / self._alike
        if times > _FAR_ABOVE:
            found = f"NT-Xent is {times:.1f} times that of views all alike"
        if found and self.temperature < _SHARP:
            return Diagnosis(
                "temperature too low",
                f"{found}; {self.temperature:g} leaves the nearest views alone to learn from",
            )
        return None

    @property
    def _alike(self) -> float:
        return guessing.of_pretraining(self.batch)["contrast_loss"]


def _collapse(look: Figures) -> tuple[str, str]:
    """Returns a word for a collapse that reaches h, and what it is told by; two of nothing."""
    if look["deviation"] < _COLLAPSED:
        return (
            "collapsed",
            f"z of all images point nearly one way, deviation {look['deviation']:.2f} of 1",
        )
    if look["rank_me_h"] < _FEW_OF_H * look["lidar_h"]:
        return "dimensionally collapsed", f"h lies along few directions ({_ranks(look)})"
    return "", ""


def _of_views(look: Figures) -> Diagnosis:
    """Returns what z shows that has not collapsed as a whole."""
    apart = _apart(look)
    if apart < _ALIKE or look["view_distance"] < _ALIKE_PIXELS:
        return Diagnosis(
            "views too alike",
            f"pixels of two views of an image are {look['view_distance']:.0%} as far apart as "
            f"those of two images, {_cosines(look)}; augmentation is off, or too weak",
        )
    if look["rank_me_z"] < _FEW_OF_Z * look["lidar_z"]:
        return Diagnosis(
            "dimensionally collapsed",
            f"z lies along few directions ({_ranks(look)}), h does not; the temperature is too "
            "high, or augmentation takes away what tells images apart",
        )
    if apart > _STRANGERS:
        return Diagnosis(
            "not learned yet",
            f"two views of an image are hardly nearer to each other than two images are "
            f"({_cosines(look)})",
        )
    return Diagnosis("healthy", f"z points in many directions ({_ranks(look)}), {_cosines(look)}")


def _apart(look: Figures) -> float:
    """Returns the squared distance of views of an image as a share of that of any two views.

    The latter is close to twice the squared deviation where that is alike in all dimensions, and
    larger where it is not.
    """
    return look["alignment"] / (2 * look["deviation"] ** 2)


def _ranks(look: Figures) -> str:
    pairs = ((name, look[f"rank_me_{name}"], look[f"lidar_{name}"]) for name in "hz")
    return ", ".join(
        f"RankMe of {name} {rank:.1f}, LiDAR {lidar:.1f}" for name, rank, lidar in pairs
    )


def _cosines(look: Figures) -> str:
    return (
        f"cosine similarity of partners {look['positive_similarity']:.2f}, of the nearest other "
        f"image {look['hardest_negative_similarity']:.2f}"
    )
