"""`simclr.json`: what a checkpoint or SavedModel is, stored beside its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from simclr_tf.architecture import IMAGE_SIZE, Architecture
from simclr_tf.bounds import OneOf, Range
from simclr_tf.checkpoints.infer_architecture import CLASSIFIER, Shapes, contradictions
from simclr_tf.errors import SettingError, UserError
from simclr_tf.pixel_rule import BEFORE, PixelRule

FILE_NAME = "simclr.json"
# Read, too: 1 has no torch_normalization and no stem_relu, 2 has no pixel rule, 3 no stem_padding.
FORMAT = 4
READABLE = (1, 2, 3, FORMAT)
TRAIN_MODES = ("pretrain", "finetune", "distill")

_CLASSES = Range(1, 2**31 - 1)  # TensorFlow's: a dimension of a tensor, and an int64
_STEPS = Range(0, 2**63 - 1)


@dataclasses.dataclass(frozen=True)
class Description:
    """What a simclr.json says.

    Attributes:
      architecture: of the network.
      image_size: pixels; what it was trained on.
      train_mode: one of `TRAIN_MODES`, None where it is not known.
      num_classes: of the supervised head, None without one.
      projection_selector: which layer the supervised head reads; see `Network`.
      dataset: what it was trained on, None where it is not known.
      class_names: of the supervised head, None where they are not known.
      step: to which it was trained, None where the name of the checkpoint says so.
      pixel_rule: of its pictures, None where it is not known.
    """

    architecture: Architecture
    image_size: int
    train_mode: str | None
    num_classes: int | None
    projection_selector: int = 0
    dataset: str | None = None
    class_names: tuple[str, ...] | None = None
    step: int | None = None
    pixel_rule: PixelRule | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the content of a simclr.json; class names and step only if there are any."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "train_mode": self.train_mode,
            "architecture": self.architecture.to_json(),
            "preprocessing": {
                "image_size": self.image_size,
                "value_range": [0.0, 1.0],
                "pixel_rule": None if self.pixel_rule is None else self.pixel_rule.to_json(),
            },
            "supervised_head": (
                None
                if self.num_classes is None
                else {
                    "num_classes": self.num_classes,
                    "ft_proj_selector": self.projection_selector,
                }
            ),
            "dataset": self.dataset,
        }
        if self.class_names is not None:
            content["class_names"] = list(self.class_names)
        if self.step is not None:
            content["step"] = self.step
        return content

    @classmethod
    def from_json(cls, content: Any, *, shapes: Shapes | None, path: str) -> Description:
        """Returns what a simclr.json of any readable format says, checked.

        Args:
          content: what the file holds.
          shapes: of the variables beside it, by path; None compares it with no weights.
          path: of the file, for messages.

        Raises:
          UserError: it is of another format, says what cannot be, or describes other variables.
        """
        stated = content.get("format") if isinstance(content, dict) else None
        if stated not in READABLE:
            raise UserError(
                f"{path} has format {_shown(stated)}, this version of simclr_tf reads formats "
                f"1 to {FORMAT}; update simclr_tf, or train again"
            )
        try:
            found = cls._parse(content)
        except SettingError as error:
            raise UserError(
                f"{path} says {error.field}={_shown(error.value)}, which cannot be; it is "
                "damaged, copy it again"
            ) from None
        for problem in found._contradictions(shapes) if shapes is not None else ():
            raise UserError(f"{path} says {problem}; it is not of these weights, copy both again")
        return found

    @classmethod
    def _parse(cls, content: dict[str, Any]) -> Description:
        """Raises SettingError for the first field that cannot be."""
        architecture = Architecture.from_json(content.get("architecture"))
        preprocessing = _take(content, "preprocessing", _is_table) or {}
        head = _take(content, "supervised_head", _is_table)
        classes, selector = None, 0
        if head is not None:
            classes = _take(head, "num_classes", _whole(_CLASSES), needed=True)
            selector = _take(head, "ft_proj_selector", _is_int, needed=True)
        architecture.check_projection_selector(selector)
        names = _take(content, "class_names", _are_names)
        rule = preprocessing.get("pixel_rule")
        pixel_rule = None if rule is None else PixelRule.from_json(rule)
        return cls(
            architecture,
            _take(preprocessing, "image_size", _whole(IMAGE_SIZE), needed=True),
            train_mode=_take(content, "train_mode", OneOf(TRAIN_MODES).allows),
            num_classes=classes,
            projection_selector=selector,
            dataset=_take(content, "dataset", lambda value: isinstance(value, str)),
            class_names=None if names is None else tuple(names),
            step=_take(content, "step", _whole(_STEPS)),
            pixel_rule=pixel_rule if content["format"] >= 3 else BEFORE,
        )

    def _contradictions(self, shapes: Shapes) -> Iterator[str]:
        yield from contradictions(self.architecture, shapes)
        if self.num_classes is not None:
            there = shapes[CLASSIFIER][-1] if shapes.get(CLASSIFIER) else "none"
            if there != self.num_classes:
                yield f"num_classes={self.num_classes}, the checkpoint has {there} ({CLASSIFIER})"


def _take(
    table: dict[str, Any], name: str, holds: Callable[[Any], bool], *, needed: bool = False
) -> Any:
    """Returns an entry; None where there is none. Raises SettingError where it cannot be."""
    value = table.get(name)
    if (needed or value is not None) and not holds(value):
        raise SettingError(name, value, "cannot be")
    return value


def _whole(bound: Range) -> Callable[[Any], bool]:
    return lambda value: _is_int(value) and bound.allows(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _shown(value: Any) -> str:
    """Returns the beginning of a value, on one line."""
    return " ".join(str(value)[:40].split())
