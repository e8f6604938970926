"""Data sets that TFDS has prepared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.data.decoding import visible_values
from simclr_tf.data.image_dataset import MOST_SAMPLED, Example, ImageDataset
from simclr_tf.data.labels import NO_LABEL, LabelSample
from simclr_tf.data.quiet import quiet_tfds
from simclr_tf.errors import SettingError
from simclr_tf.pixel_rule import WHITE, PixelRule

_CHANNELS = (1, 3, 4)
_DTYPES = ("uint8", "uint16")
# Splits have a label at every image or at none: where these have none, nobody reads on.
_SAMPLED = 1000
_AT_ONCE = 256  # images, encoded


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsDataset(ImageDataset):
    """A prepared TFDS data set with an `image` feature, with or without a `label`.

    Attributes:
      name: the name it was asked by.
      builder: the TFDS builder that reads it.
      numbers: of its classes where they are others than TFDS's, int64 [classes].
      names: of the classes by these numbers.
      pixel_rule: how images become RGB of eight bits.
    """

    name: str
    builder: tfds.core.DatasetBuilder = dataclasses.field(repr=False)
    numbers: np.ndarray | None = dataclasses.field(default=None, repr=False)
    names: list[str] | None = dataclasses.field(default=None, repr=False)
    pixel_rule: PixelRule = WHITE
    label_remedy = "choose a labeled data set"
    missing_label_remedy = "give another split"

    @property
    def image_feature(self) -> tfds.features.Image:
        """The TFDS feature that decodes the images."""
        return self.builder.info.features["image"]

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        return tuple(self.image_feature.shape)

    @property
    def class_names(self) -> list[str] | None:
        return self.names or self._own_names

    @property
    def _own_names(self) -> list[str] | None:
        """TFDS's names, None where it has no single class label."""
        label = dict(self.builder.info.features.items()).get("label")
        return (label.names or None) if isinstance(label, tfds.features.ClassLabel) else None

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

    def sample_labels(self, split: str) -> list[LabelSample]:
        samples = []
        for part in map(str.strip, self.splits if split == "all" else split.split("+")):
            total = self.builder.info.splits[part].num_examples
            labels = _until_two_differ(self, part, min(total, _SAMPLED)) if total else []
            samples.append(LabelSample(part, np.array(labels, np.int64), total))
        return samples

    def all_labels(self, split: str) -> np.ndarray:
        return np.concatenate([batch["label"] for batch in self._batches(split)])

    def some(self, split: str, most: int) -> ImageDataset:
        # TFDS has shuffled them when it wrote them, and those further on would have to be read.
        count = self.num_examples(split)
        return self if count <= most else self.only(split, np.arange(most))

    def only(self, split: str, places: np.ndarray) -> TfdsDataset:
        images: list[bytes] = []
        labels: list[int] = []
        start = 0
        for batch in self._batches(split):
            if start > places[-1]:
                break
            here = places[(places >= start) & (places < start + _AT_ONCE)] - start
            images += batch["image"][here].tolist()
            labels += batch["label"][here].tolist()
            start += _AT_ONCE
        return _FewExamples(
            name=self.name,
            builder=self.builder,
            names=self.class_names,
            split=split,
            images=images,
            labels=np.array(labels, np.int64),
        )

    def labels_only(self, split: str, places: np.ndarray) -> TfdsDataset:
        chosen = np.zeros(self.num_examples(split), bool)
        chosen[places] = True
        labels: list[np.ndarray] = []
        keys: list[np.ndarray] = []
        for start, batch in enumerate(self._batches(split)):
            here = chosen[start * _AT_ONCE :][: len(batch["label"])]
            labels.append(np.where(here, batch["label"], NO_LABEL))
            keys.append(_key_of(batch["image"][here]).numpy())
        return _FewLabels(
            name=self.name,
            builder=self.builder,
            numbers=self.numbers,
            names=self.names,
            pixel_rule=self.pixel_rule,
            split=split,
            keys=np.unique(np.concatenate(keys)),
            labels=np.concatenate(labels),
        )

    def _batches(self, split: str) -> Iterator[dict[str, np.ndarray]]:
        """Yields all of a split in its order, encoded."""
        examples = self.read(split, shard=(1, 0), by_file=False, file_seed=None)
        yield from examples.batch(_AT_ONCE).as_numpy_iterator()

    def _renumber(self, numbers: np.ndarray, class_names: list[str]) -> TfdsDataset:
        return dataclasses.replace(self, numbers=numbers, names=class_names)

    def file_sizes(self, split: str) -> list[int]:
        return [file.take for file in self.builder.info.splits[split].file_instructions]

    def read(
        self, split: str, *, shard: tuple[int, int], by_file: bool, file_seed: tf.Tensor | None
    ) -> tf.data.Dataset:
        num_shards, index = shard
        context = tf.distribute.InputContext(num_shards, index) if by_file else None
        features = {"image": True}
        if self._own_names is not None:
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
        return examples.map(self._number_label)

    def sample_16_bit(self, split: str) -> list[np.ndarray]:
        if self.image_feature.tf_dtype != tf.uint16:
            return []
        examples = self.read(split, shard=(1, 0), by_file=False, file_seed=None).take(MOST_SAMPLED)
        images = examples.map(self.decode)
        return [visible_values(image) for image in images.as_numpy_iterator()]

    def decode(self, example: Example) -> tf.Tensor:
        return self.image_feature.decode_example(example["image"])

    def _number_label(self, example: Example) -> Example:
        label = tf.cast(example.get("label", NO_LABEL), tf.int64)
        if self.numbers is not None:
            label = tf.gather(np.append(self.numbers, NO_LABEL), label % (len(self.numbers) + 1))
        return {"image": example["image"], "label": label}

    def _select(self, split: str, field: str) -> tfds.core.SplitInfo:
        def select() -> tuple[tfds.core.SplitInfo, int]:
            selected = self.builder.info.splits[split]
            return selected, selected.num_examples

        return self._select_with(select, split, field)[0]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _FewExamples(TfdsDataset):
    """Some images of one split, kept in memory: not to read all of it for a few in each epoch.

    Attributes:
      split: theirs; there is no other.
      images: encoded.
      labels: int64 [images].
    """

    split: str
    images: list[bytes] = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)

    @property
    def splits(self) -> dict[str, int]:
        return {self.split: len(self.labels)}

    def num_examples(self, split: str) -> int:
        return self.splits[split]

    def sample_labels(self, split: str) -> list[LabelSample]:
        return [LabelSample(split, self.all_labels(split), self.num_examples(split))]

    def file_sizes(self, split: str) -> list[int]:
        return []

    def read(
        self, split: str, *, shard: tuple[int, int], by_file: bool, file_seed: tf.Tensor | None
    ) -> tf.data.Dataset:
        del by_file, file_seed  # a shuffle buffer holds as many
        examples = {"image": tf.constant(self.images), "label": tf.constant(self.labels)}
        return tf.data.Dataset.from_tensor_slices(examples).shard(*shard).map(self._number_label)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _FewLabels(TfdsDataset):
    """All images of one split, of which some have a label.

    TFDS reads examples in any order and by several machines, and numbers none: which have a label
    is known by their content. An exact copy of such an image has its label, too.

    Attributes:
      split: the one that is to be read.
      keys: of the images that have a label, int64 [n], see `_key_of`.
      labels: of all images of the split, int64 [images].
    """

    split: str
    keys: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)

    def all_labels(self, split: str) -> np.ndarray:
        return self.labels

    def sample_labels(self, split: str) -> list[LabelSample]:
        return [LabelSample(split, self.labels, len(self.labels))]

    def _number_label(self, example: Example) -> Example:
        numbered = super()._number_label(example)
        known = tf.reduce_any(_key_of(example["image"]) == self.keys)
        return {**numbered, "label": tf.where(known, numbered["label"], NO_LABEL)}


def _key_of(images: tf.Tensor) -> tf.Tensor:
    """Returns a number for each encoded image, int64, which hardly any two different ones share."""
    return tf.strings.to_hash_bucket_fast(images, 2**62)


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


def _until_two_differ(dataset: TfdsDataset, part: str, most: int) -> list[int]:
    """Returns labels of the first images, up to the second class."""
    labels: list[int] = []
    examples = dataset.read(part, shard=(1, 0), by_file=False, file_seed=None)
    for label in examples.map(lambda example: example["label"]).take(most).as_numpy_iterator():
        labels.append(int(label))
        if len(set(labels) - {NO_LABEL}) > 1:
            break
    return labels
