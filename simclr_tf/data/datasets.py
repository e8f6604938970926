"""Image data sets by name: what is in them and which splits they have."""

from __future__ import annotations

import dataclasses
import os

import tensorflow_datasets as tfds

from simclr_tf.data import preparation
from simclr_tf.errors import UserError

_CHANNELS = (1, 3, 4)
_DTYPES = ("uint8", "uint16")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """A prepared TFDS data set with an `image` feature and, it may be, a `label`.

    Attributes:
      name: the name it was asked by.
      builder: the TFDS builder that reads it.
    """

    name: str
    builder: tfds.core.DatasetBuilder = dataclasses.field(repr=False)

    @property
    def image_feature(self) -> tfds.features.Image:
        """The TFDS feature that decodes the images."""
        return self.builder.info.features["image"]

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels as stored; None where they vary."""
        return tuple(self.image_feature.shape)

    @property
    def has_static_size(self) -> bool:
        """Whether all images have one height and width."""
        return None not in self.image_shape

    @property
    def num_classes(self) -> int | None:
        """Number of classes, or None where there is no single class label."""
        label = dict(self.builder.info.features.items()).get("label")
        return label.num_classes if isinstance(label, tfds.features.ClassLabel) else None

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of their numbers, or None without class labels."""
        return None if self.num_classes is None else self.builder.info.features["label"].names

    @property
    def splits(self) -> dict[str, int]:
        """Number of examples of every split."""
        return {name: info.num_examples for name, info in self.builder.info.splits.items()}

    def num_examples(self, split: str) -> int:
        """Returns how many examples `split` selects. Raises UserError as `check_split` does."""
        return self._select(split, "split").num_examples

    def check_split(self, split: str, *, flag: str = "--train_split") -> None:
        """Checks that `split` can be read.

        Args:
          split: in TFDS's syntax: `train`, `train[:10%]`, `train[5%:]+test`.
          flag: the flag to name in the error.

        Raises:
          UserError: if there is no such split, it selects nothing, or its files are not there.
        """
        selected = self._select(split, flag)
        folder = self.builder.data_path
        missing = sorted(set(selected.filenames) - {path.name for path in folder.iterdir()})
        if missing:
            raise UserError(
                f"{flag}={split}: {missing[0]} is missing from {folder}; copy the folder again, "
                "or delete it to have it prepared anew"
            )

    def _select(self, split: str, flag: str) -> tfds.core.SplitInfo:
        remedy = f"{self.name} has " + ", ".join(f"{k} ({v:,})" for k, v in self.splits.items())
        try:
            selected = self.builder.info.splits[split]
            count = selected.num_examples
        except Exception as error:
            # TFDS puts the cause in the first sentence of its last line.
            reason = (str(error).splitlines() or ["it cannot be read"])[-1]
            reason = reason.partition(". ")[0].rstrip(".")
            raise UserError(f"{flag}={split}: {reason}; {remedy}") from error
        if count <= 0:
            raise UserError(f"{flag}={split} selects no examples; {remedy}")
        return selected


def load(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> ImageDataset:
    """Opens an image data set, preparing it first where it is not there yet.

    Args:
      name: a TFDS name, `name[/config][:version]`; `digits` needs no download.
      data_dir: folder that holds `<name>/`, local or `gs://`; None means TFDS's own default
        (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`). Written to only for preparing.

    Returns:
      The data set, ready to be read.

    Raises:
      UserError: one line naming flag and remedy, whatever is in the way.
    """
    folder = os.path.expanduser(os.fspath(data_dir)) if data_dir else None
    builder = preparation.find_builder(name, folder)
    # Before preparing: nobody should download a text corpus to be told that it has no images.
    _check_features(name, builder.info.features)
    builder = preparation.prepare(builder, name, folder)
    if not builder.info.splits:
        raise UserError(
            f"--dataset={name}: {builder.data_path} holds no prepared data set; "
            "delete it to have it prepared anew, or give another --data_dir"
        )
    return ImageDataset(name=name, builder=builder)


def _check_features(name: str, features: tfds.features.FeatureConnector) -> None:
    """Raises UserError unless there is an `image` of a kind that can be turned into RGB."""
    remedy = "choose an image data set with an 'image' feature, such as cifar10 or digits"
    is_dict = isinstance(features, tfds.features.FeaturesDict)
    image = features["image"] if is_dict and "image" in features else None
    if not isinstance(image, tfds.features.Image):
        raise UserError(f"--dataset={name} has no 'image' feature; {remedy}")
    dtype = image.tf_dtype.name
    if image.shape[-1] not in _CHANNELS or dtype not in _DTYPES:
        raise UserError(
            f"--dataset={name} has images of {image.shape[-1]} channels and type {dtype}, "
            f"which cannot be turned into RGB; {remedy}"
        )
