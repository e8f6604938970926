"""What a network is: the one place that knows its fields, their bounds, and how they are stored.

No TensorFlow here: flags, checkpoints and the builders of networks all stand on this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from simclr_tf.bounds import Bound, OneOf, Range, is_number, is_whole
from simclr_tf.errors import SettingError

RESNET_DEPTHS = (18, 34, 50, 101, 152, 200)
HEAD_MODES = ("none", "linear", "nonlinear")
CIFAR_STEM_UP_TO = 32  # pixels; the reference uses the small stem at and below this size
IMAGE_SIZE = Range(1, 4096)  # pixels
FREEZE_AFTER = Range(-1, 4)  # nothing, the stem, the stem and one to four block groups

PROJECTION_LAYERS = Range(1, 64)
STEM_PADDING = Range(1, 8)  # pixels

BOUNDS: Mapping[str, Bound] = {
    "resnet_depth": OneOf(RESNET_DEPTHS),
    "width_multiplier": Range(1 / 64, 100.0),  # one channel of the stem's 64
    "sk_ratio": Range(0.0, 1.0),
    "se_ratio": Range(0.0, 1.0),
    "proj_head_mode": OneOf(HEAD_MODES),
    "proj_out_dim": Range(1, 65_536),
    "num_proj_layers": PROJECTION_LAYERS,
}
_WHOLE = frozenset(("resnet_depth", "proj_out_dim", "num_proj_layers"))


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What makes a network's variables and its function of them what they are.

    Attributes:
      resnet_depth: 18, 34, 50, 101, 152 or 200.
      width_multiplier: of the number of channels; may be a fraction.
      sk_ratio: above 0 makes selective kernels, and ResNet-D's stem and shortcuts.
      se_ratio: above 0 makes squeeze-and-excitation.
      proj_head_mode: `none`, `linear` or `nonlinear`.
      proj_out_dim: width of the projection.
      num_proj_layers: layers of a nonlinear projection head; see `projection_layers`.
      torch_normalization: of what came from PyTorch, the mean and standard deviation of red, green
        and blue that the network normalizes images by; it is then laid out as torchvision's.
      stem_relu: whether the first normalization is followed by ReLU: not so in what is made of the
        layers of lightly's ResNetGenerator.
      stem_padding: pixels of zeros around images before the small stem's 3x3: 1 keeps the
        resolution. 2, which adds as many pixels to every side, is solo-learn's for CIFAR.
      cifar_stem: whether the stem keeps the resolution; follows from the image size, see
        `uses_cifar_stem`.
    """

    resnet_depth: int = 50
    width_multiplier: float = 1.0
    sk_ratio: float = 0.0
    se_ratio: float = 0.0
    proj_head_mode: str = "nonlinear"
    proj_out_dim: int = 128
    num_proj_layers: int = 3
    torch_normalization: tuple[float, ...] | None = None
    stem_relu: bool = True
    stem_padding: int = 1
    cifar_stem: bool = False

    @property
    def projection_layers(self) -> int:
        """Layers of the projection head, whatever its mode."""
        return {"none": 0, "linear": 1}.get(self.proj_head_mode, self.num_proj_layers)

    @property
    def name(self) -> str:
        """For files and folders, such as `resnet50`."""
        return f"resnet{self.resnet_depth}"

    def __str__(self) -> str:
        """Says in words what the encoder is."""
        return (
            f"ResNet-{self.resnet_depth}, width {self.width_multiplier:g}"
            + (f", SK {self.sk_ratio:g}" if self.sk_ratio else "")
            + (f", SE {self.se_ratio:g}" if self.se_ratio else "")
            + (", laid out as PyTorch's" if self.torch_normalization else "")
        )

    def problems(self) -> Iterator[SettingError]:
        """Yields an error for each field that cannot be."""
        for name, bound in BOUNDS.items():
            value = getattr(self, name)
            whole = name not in _WHOLE or is_whole(value)
            if not (whole and bound.allows(value)):
                yield SettingError(name, value, f"must be {bound}")
        for name in ("stem_relu", "cifar_stem"):
            if not isinstance(getattr(self, name), bool):
                yield SettingError(name, getattr(self, name), "must be true or false")
        if self.stem_relu is False and self.cifar_stem is False:
            yield SettingError("stem_relu", False, "goes with the small stem only")
        if not (is_whole(self.stem_padding) and STEM_PADDING.allows(self.stem_padding)):
            yield SettingError("stem_padding", self.stem_padding, f"must be {STEM_PADDING}")
        if self.stem_padding != 1 and self.cifar_stem is False:
            yield SettingError("stem_padding", self.stem_padding, "goes with the small stem only")
        six = self.torch_normalization
        if six is not None and not _is_normalization(six):
            yield SettingError(
                "torch_normalization", six, "must be three means and three deviations above 0"
            )

    def check(self) -> Architecture:
        """Returns itself. Raises SettingError for the first field that cannot be."""
        for problem in self.problems():
            raise problem
        return self

    def check_projection_selector(self, selector: int) -> None:
        """Raises SettingError where a classifier would read a layer that the head lacks.

        Args:
          selector: 0 for the features, i for the head's i-th layer, -1 for its last.
        """
        if not -1 <= selector <= self.projection_layers:
            raise SettingError(
                "ft_proj_selector",
                selector,
                f"must be -1 to {self.projection_layers}, the number of layers of the projection "
                "head",
            )

    def to_json(self) -> dict[str, Any]:
        """Returns all fields, JSON-serializable."""
        fields = dataclasses.asdict(self)
        six = self.torch_normalization
        return {**fields, "torch_normalization": None if six is None else list(six)}

    @classmethod
    def from_json(cls, content: Any) -> Architecture:
        """Returns what `to_json` was made of, checked; fields that are not known are left out.

        The fields of PyTorch's may be missing, as they are in files of earlier versions.

        Raises:
          SettingError: a field is missing or cannot be.
        """
        content = content if isinstance(content, dict) else {}
        known = {f.name: f.default for f in dataclasses.fields(cls)}
        optional = {"torch_normalization", "stem_relu", "stem_padding"}
        for name in known:
            if name not in optional and name not in content:
                raise SettingError(name, "nothing", "must be there")
        values = {name: content[name] for name in known if name in content}
        if isinstance(values.get("torch_normalization"), list):
            values["torch_normalization"] = tuple(values["torch_normalization"])
        return cls(**values).check()


FIELDS = tuple(f.name for f in dataclasses.fields(Architecture))


def uses_cifar_stem(image_size: int) -> bool:
    """Says whether images of so many pixels get the stem that keeps their resolution."""
    return image_size <= CIFAR_STEM_UP_TO


def _is_normalization(six: Any) -> bool:
    return (
        isinstance(six, tuple) and len(six) == 6 and all(map(is_number, six)) and min(six[3:]) > 0
    )
