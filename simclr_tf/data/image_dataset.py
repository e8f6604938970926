"""What the input pipelines ask of a data set of images, wherever it is stored."""

from __future__ import annotations

import abc
import contextlib
import copy
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from simclr_tf.data.labels import (
    NO_LABEL,
    LabelSample,
    balanced_subset,
    number_classes,
    what_is_missing,
)
from simclr_tf.errors import SettingError
from simclr_tf.pixel_rule import WHITE, PixelRule

Example = dict[str, tf.Tensor]

MOST_SAMPLED = 64
"""Pictures whose pixels are looked at to find the range in use."""


class ImageDataset(abc.ABC):
    """Images by split, of which all, some or none have a class label.

    Images are read in three steps, so that a pipeline may shuffle, skip and cache where that is
    cheap: `read` lists, `load` fetches encoded images, `decode` makes pixels of them.

    Attributes:
      name: the name it was asked by.
      label_remedy: what to tell a user who needs labels where there are none.
      missing_label_remedy: what to tell one whose split has too few.
      pixel_rule: how what is decoded becomes RGB of eight bits.
      remarks: what is to be said of how it was read, a line each.
      split_folders: whether its splits are folders of these names.
    """

    name: str
    label_remedy: str
    missing_label_remedy: str
    pixel_rule: PixelRule = WHITE
    remarks: tuple[str, ...] = ()
    split_folders: bool = False

    @property
    @abc.abstractmethod
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels as decoded; None where they vary."""

    @property
    def has_static_size(self) -> bool:
        """Whether all images have one height and width."""
        return None not in self.image_shape

    @property
    def num_classes(self) -> int | None:
        """Number of classes, or None where there is no single class label."""
        return None if self.class_names is None else len(self.class_names)

    @property
    @abc.abstractmethod
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of their numbers, or None without class labels."""

    @property
    @abc.abstractmethod
    def splits(self) -> dict[str, int]:
        """Number of examples of every split."""

    @property
    def fingerprint(self) -> str | None:
        """Tells one list of files from another; None where the name says it all."""
        return None

    @property
    def stamp(self) -> str | None:
        """Tells whether files of one list have changed; None where they do not, or nobody knows."""
        return None

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """Returns how many examples `split` selects. Raises SettingError as `check_split` does."""

    @abc.abstractmethod
    def check_split(self, split: str, *, field: str = "train_split") -> None:
        """Checks that `split` can be read.

        Args:
          split: in TFDS's syntax: `train`, `train[:10%]`, `train[5%:]+test`.
          field: the setting to name in the error.

        Raises:
          SettingError: if there is no such split, it selects nothing, or its files are not there.
        """

    @abc.abstractmethod
    def sample_labels(self, split: str) -> list[LabelSample]:
        """Returns labels of each part of `split`: all where they are known, else the first ones."""

    def check_labels(self, split: str, *, field: str = "train_split", classes: int = 1) -> None:
        """Checks that there are labels in `split`; not every image needs one.

        Args:
          split: in TFDS's syntax.
          field: the setting to name in the error.
          classes: how many of them there must be.

        Raises:
          SettingError: there are fewer, as far as can be seen without reading all of the split.
        """
        if self.class_names is None:
            raise SettingError("dataset", self.name, "has no class labels", self.label_remedy)
        missing = what_is_missing(self.sample_labels(split), self.class_names, classes)
        if missing:
            raise SettingError(field, split, f": {missing}", self.missing_label_remedy)

    def labeled(self) -> ImageDataset:
        """Returns the data set without the images that are known to have no label.

        Where an image belongs does not change: splits and slices hold what is left of them.
        """
        return self

    @abc.abstractmethod
    def all_labels(self, split: str) -> np.ndarray:
        """Returns the label of each image of `split`, int64 [n]; reads all of it if need be."""

    def image_names(self, split: str) -> list[str]:
        """Returns a name for each image of `split`: of a file, its path below the folder."""
        return [f"{split}/{place}" for place in range(self.num_examples(split))]

    @abc.abstractmethod
    def only(self, split: str, places: np.ndarray) -> ImageDataset:
        """Returns the data set with no other images in `split` than some.

        Args:
          split: in TFDS's syntax. Others are not to be read from then on.
          places: of these images in the split, int64 [n], ascending.
        """

    def some(self, split: str, most: int) -> ImageDataset:
        """Returns the data set with at most so many images in `split`, spread evenly over it."""
        count = self.num_examples(split)
        if count <= most:
            return self
        return self.only(split, np.arange(most) * count // most)

    def few_labels(self, split: str, per_class: int, *, seed: int) -> ImageDataset:
        """Returns the data set with so many images of each class in `split`, and no others.

        They follow from the seed, the data and the names of the classes, not from their numbers.
        All are taken of a class that has fewer.
        """
        return self.only(split, self._draw_few(split, per_class, seed=seed))

    def few_of_its_labels(self, split: str, per_class: int, *, seed: int) -> ImageDataset:
        """Returns the data set with all images of `split`, and the labels of a few of them alone.

        They are those of `few_labels`.
        """
        return self.labels_only(split, self._draw_few(split, per_class, seed=seed))

    def _draw_few(self, split: str, per_class: int, *, seed: int) -> np.ndarray:
        assert self.class_names is not None
        by_name = np.argsort(np.argsort(self.class_names))
        labels = np.append(by_name, NO_LABEL)[self.all_labels(split)]  # -1 is the last one
        return balanced_subset(labels, per_class, seed=seed)

    @abc.abstractmethod
    def labels_only(self, split: str, places: np.ndarray) -> ImageDataset:
        """Returns the data set with no other labels in `split` than those of some images.

        Args:
          split: in TFDS's syntax. Others are not to be read from then on.
          places: of these images in the split, int64 [n], ascending.
        """

    def unlabeled_as(self, class_names: Sequence[str]) -> ImageDataset:
        """Returns the data set with no label at all, and with classes that others give its images.

        Args:
          class_names: of these.
        """
        return self._renumber(np.full(self.num_classes or 0, NO_LABEL), list(class_names))

    def labels_as(self, class_names: Sequence[str]) -> ImageDataset:
        """Returns the data set with its classes numbered as `class_names` says.

        Raises:
          ValueError: `class_names` lacks one of them.
        """
        assert self.class_names is not None
        numbers = number_classes(self.class_names, class_names)
        if (numbers < 0).any():
            raise ValueError(f"{self.name} has classes beside {', '.join(class_names)}")
        return self._renumber(numbers, list(class_names))

    def with_pixel_rule(self, rule: PixelRule) -> ImageDataset:
        """Returns the data set with another `pixel_rule`."""
        other = copy.copy(self)
        vars(other)["pixel_rule"] = rule  # of frozen ones, too
        return other

    def sample_16_bit(self, split: str) -> list[np.ndarray]:
        """Returns values of pictures of `split` that have 16 bits, uint16 [n] each.

        Of at most `MOST_SAMPLED`, and the same whenever it is asked. Where there are no such
        pictures, it is quick.
        """
        del split
        return []

    @abc.abstractmethod
    def _renumber(self, numbers: np.ndarray, class_names: list[str]) -> ImageDataset:
        """Returns a copy with the names, and label `numbers[i]`, -1 for none, for `i`."""

    def file_sizes(self, split: str) -> list[int]:
        """Returns the number of examples in each file of `split` that a host can read alone."""
        return []

    @abc.abstractmethod
    def read(
        self, split: str, *, shard: tuple[int, int], by_file: bool, file_seed: tf.Tensor | None
    ) -> tf.data.Dataset:
        """Returns one pass over a shard of `split`, to be given to `load`.

        See `simclr_tf.data.reading.read_examples`.
        """

    def load(self, split: str, examples: tf.data.Dataset, *, replace_bad: bool) -> tf.data.Dataset:
        """Fetches the images of `read(split)`.

        Args:
          split: as given to `read`.
          examples: of `read`.
          replace_bad: whether another image of the split stands in for one that cannot be read;
            else a black one does, with a "weight" of 0.

        Returns:
          Elements {"image": encoded, string scalar, "label": int64 scalar, -1 for none}, where bad
          images are not replaced, {"weight": float32 scalar}, and what else `decode` needs.
        """
        del split, replace_bad  # What TFDS prepared is whole, and `read` has fetched it already.
        return examples

    @abc.abstractmethod
    def decode(self, example: Example) -> tf.Tensor:
        """Decodes the image of an element of `load` to `image_shape`, for `to_rgb`."""

    def report_bad_images(self, model_dir: str) -> contextlib.AbstractContextManager[None]:
        """While it is open, names images that cannot be read in a file in `model_dir`.

        Raises:
          UserError: on leaving, if bad images brought the pipeline to a stop.
        """
        del model_dir
        return contextlib.nullcontext()

    def _select_with(self, select: Callable[[], tuple], split: str, field: str) -> tuple:
        """Calls TFDS's split machinery and makes one line of whatever it raises.

        Args:
          select: returns what is selected and its number of examples.
          split: what was asked.
          field: the setting to name in the error.
        """
        remedy = f"{self.name} has " + ", ".join(f"{k} ({v:,})" for k, v in self.splits.items())
        if split == "validation" and "test" in self.splits and split not in self.splits:
            remedy += f"; give `{field}=test`"
        try:
            selected, count = select()
        except Exception as error:
            # TFDS puts the cause in the first sentence of its last line.
            reason = (str(error).splitlines() or ["it cannot be read"])[-1]
            reason = reason.partition(". ")[0].rstrip(".").replace("`", "'")
            raise SettingError(field, split, f": {reason}", remedy) from error
        if count <= 0:
            raise SettingError(field, split, "selects no examples", remedy)
        return selected, count
