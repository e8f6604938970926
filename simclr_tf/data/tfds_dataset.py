"""Data sets that TFDS has prepared."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.data.image_dataset import NO_LABEL, Example, ImageDataset
from simclr_tf.data.quiet import quiet_tfds
from simclr_tf.errors import SettingError

_CHANNELS = (1, 3, 4)
_DTYPES = ("uint8", "uint16")


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsDataset(ImageDataset):
    """A prepared TFDS data set with an `image` feature, with or without a `label`.

    Attributes:
      name: the name it was asked by.
      builder: the TFDS builder that reads it.
    """

    name: str
    builder: tfds.core.DatasetBuilder = dataclasses.field(repr=False)
    label_remedy = "choose a labeled data set"

    @property
    def image_feature(self) -> tfds.features.Image:
        """The TFDS feature that decodes the images."""
        return self.builder.info.features["image"]

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        return tuple(self.image_feature.shape)

    @property
    def num_classes(self) -> int | None:
        label = dict(self.builder.info.features.items()).get("label")
        return label.num_classes if isinstance(label, tfds.features.ClassLabel) else None

    @property
    def class_names(self) -> list[str] | None:
        return None if self.num_classes is None else self.builder.info.features["label"].names

    @property
    def splits(self) -> dict[str, int]:
        return {name: info.num_examples for name, info in self.builder.info.splits.items()}

    def num_examples(self, split: str) -> int:
        return self._select(split, "split").num_examples

    def check_split(self, split: str, *, field: str = "train_split") -> None:
        selected = self._select(split, field)
        folder = self.builder.data_path
        missing = sorted(set(selected.filenames) - {path.name for path in folder.iterdir()})
        if missing:
            raise SettingError(
                field,
                split,
                f": {missing[0]} is missing from {folder}",
                "copy the folder again, or delete it to have it prepared anew",
            )

    def file_sizes(self, split: str) -> list[int]:
        return [file.take for file in self.builder.info.splits[split].file_instructions]

    def read(
        self, split: str, *, shard: tuple[int, int], by_file: bool, file_seed: tf.Tensor | None
    ) -> tf.data.Dataset:
        num_shards, index = shard
        context = tf.distribute.InputContext(num_shards, index) if by_file else None
        features = {"image": True}
        if self.num_classes is not None:
            features["label"] = True
        with quiet_tfds():
            examples = self.builder.as_dataset(
                split=split,
                shuffle_files=file_seed is not None,
                decoders=tfds.decode.PartialDecoding(
                    features, decoders={"image": tfds.decode.SkipDecoding()}
                ),
                read_config=tfds.ReadConfig(
                    try_autocache=False,  # The pipeline decides what is cached, and where.
                    skip_prefetch=True,
                    enable_ordering_guard=False,
                    input_context=context,
                    shuffle_seed=file_seed,
                    shuffle_reshuffle_each_iteration=False,
                ),
            )
        if not by_file:
            examples = examples.shard(num_shards, index)
        return examples.map(_label_as_int64)

    def decode(self, image: tf.Tensor) -> tf.Tensor:
        return self.image_feature.decode_example(image)

    def _select(self, split: str, field: str) -> tfds.core.SplitInfo:
        def select() -> tuple[tfds.core.SplitInfo, int]:
            selected = self.builder.info.splits[split]
            return selected, selected.num_examples

        return self._select_with(select, split, field)[0]


def check_features(name: str, features: tfds.features.FeatureConnector) -> None:
    """Raises SettingError unless there is an `image` of a kind that can be turned into RGB."""
    remedy = "choose an image data set with an 'image' feature, such as cifar10 or digits"
    is_dict = isinstance(features, tfds.features.FeaturesDict)
    image = features["image"] if is_dict and "image" in features else None
    if not isinstance(image, tfds.features.Image):
        raise SettingError("dataset", name, "has no 'image' feature", remedy)
    dtype = image.tf_dtype.name
    if image.shape[-1] not in _CHANNELS or dtype not in _DTYPES:
        raise SettingError(
            "dataset",
            name,
            f"has images of {image.shape[-1]} channels and type {dtype}, which cannot be turned "
            "into RGB",
            remedy,
        )


def _label_as_int64(example: Example) -> Example:
    label = example.get("label", NO_LABEL)
    return {"image": example["image"], "label": tf.cast(label, tf.int64)}
