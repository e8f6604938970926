"""A data set that is a folder tree of picture files."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf import files, pictures
from simclr_tf.data import folder_files, folder_labels, folder_splits, reading
from simclr_tf.data.bad_images import BadImages
from simclr_tf.data.decoding import Decodable, decode_known, sample_16_bit, to_decodable
from simclr_tf.data.image_dataset import MOST_SAMPLED, Example, ImageDataset
from simclr_tf.data.labels import NO_LABEL, LabelSample
from simclr_tf.data.picture_traits import PLAIN
from simclr_tf.errors import SettingError
from simclr_tf.paths import clean, is_remote

PREFIX = "folder:"

# Files whose headers are read to find pictures of 16 bits.
_OPENED = 256


class FolderDataset(ImageDataset):
    """Picture files below a folder.

    A listing in memory: a file is opened when its turn comes, and not before.

    Args:
      name: the name it was asked by.
      root: the folder, local or `gs://`.
      listing: of the files below `root`.
      splits: the same by split.
      labels_from: where labels come from, for remedies.
      labels: class name by path, or None for a data set without labels.
      on_bad_image: what to do about a file that cannot be read: `skip` or `fail`.
    """

    image_shape = (None, None, 3)
    label_remedy = (
        "say where they are: `folder_labels=folders` (each class has a folder) or "
        "`folder_labels=<CSV file>`"
    )

    def __init__(
        self,
        name: str,
        root: str,
        listing: folder_files.Listing,
        splits: folder_splits.Splits,
        *,
        labels_from: str,
        labels: dict[str, str] | None,
        on_bad_image: str,
    ):
        self.name = name
        self.split_folders = splits.by_folder
        remarks = (listing.describe_left_out(), splits.remark)
        self.remarks = tuple(f"{name}: {remark}" for remark in remarks if remark)
        self._root = root
        self._listed = listing.paths
        self._paths = [path for paths in splits.paths.values() for path in paths]
        self._splits = {split: len(paths) for split, paths in splits.paths.items()}
        self.missing_label_remedy = folder_labels.missing_label_remedy(labels_from)
        self._class_names = None if labels is None else sorted(set(labels.values()))
        numbers = {label: number for number, label in enumerate(self._class_names or [])}
        found = labels or {}
        self._labels = np.array(
            [numbers[found[path]] if path in found else NO_LABEL for path in self._paths], np.int64
        )
        self._kept: np.ndarray | None = None  # which of the paths; None for all
        # Traits of the files that can be decoded as they are: to find them takes as long as to
        # decode them.
        self._sound: dict[str, np.ndarray] = {}
        self._bad = BadImages(fail=on_bad_image == "fail")

    @property
    def class_names(self) -> list[str] | None:
        return self._class_names

    @property
    def splits(self) -> dict[str, int]:
        return self._splits

    @property
    def fingerprint(self) -> str:
        return folder_files.fingerprint(self._listed)

    @property
    def stamp(self) -> str | None:
        if is_remote(self._root):  # it would take a request for each
            return None
        return folder_files.stamp([files.join(self._root, path) for path in self._listed])

    def num_examples(self, split: str) -> int:
        return len(self._select(split, "split"))

    def check_split(self, split: str, *, field: str = "train_split") -> None:
        self._select(split, field)

    def sample_labels(self, split: str) -> list[LabelSample]:
        labels = self.all_labels(split)
        return [LabelSample(split, labels, len(labels))]

    def labeled(self) -> FolderDataset:
        return self._keep(self._labels != NO_LABEL)

    def all_labels(self, split: str) -> np.ndarray:
        return self._labels[self._select(split, "split")]

    def image_names(self, split: str) -> list[str]:
        return [self._paths[place] for place in self._select(split, "split")]

    def only(self, split: str, places: np.ndarray) -> FolderDataset:
        kept = np.zeros(len(self._paths), bool)
        kept[self._select(split, "split")[places]] = True
        return self._keep(kept)

    def labels_only(self, split: str, places: np.ndarray) -> FolderDataset:
        other = copy.copy(self)
        chosen = self._select(split, "split")[places]
        other._labels = np.full_like(self._labels, NO_LABEL)
        other._labels[chosen] = self._labels[chosen]
        return other

    def _keep(self, kept: np.ndarray) -> FolderDataset:
        fewer = copy.copy(self)
        fewer._kept = kept
        return fewer

    def _renumber(self, numbers: np.ndarray, class_names: list[str]) -> FolderDataset:
        other = copy.copy(self)
        other._labels = np.append(numbers, NO_LABEL)[self._labels]  # -1 is the last one
        other._class_names = class_names
        return other

    def read(
        self, split: str, *, shard: tuple[int, int], by_file: bool, file_seed: tf.Tensor | None
    ) -> tf.data.Dataset:
        # By position in the split: 8 bytes each, so that an epoch is shuffled as a whole and a
        # resumed run skips what it has seen without opening it.
        del by_file
        positions = tf.data.Dataset.range(shard[1], self.num_examples(split), shard[0])
        if file_seed is not None:
            positions = positions.shuffle(
                positions.cardinality(), seed=file_seed, reshuffle_each_iteration=False
            )
        return positions.map(lambda position: {"position": position})

    def load(self, split: str, examples: tf.data.Dataset, *, replace_bad: bool) -> tf.data.Dataset:
        chosen = self._select(split, "split")

        def fetch(position: np.ndarray) -> tuple[bytes, np.ndarray, np.int64, np.float32]:
            # The next readable file, so that an epoch keeps its length and every step its place.
            for step in range(len(chosen) if replace_bad else 1):
                index = chosen[(position + step) % len(chosen)]
                image = self._open(self._paths[index])
                if image is not None:
                    return *image, self._labels[index], np.float32(1)
            if replace_bad:
                self._bad.stop(
                    lambda: SettingError(
                        "dataset",
                        self.name,
                        f": none of the {len(chosen):,} files of {split} can be read",
                        "give a folder of pictures",
                    )
                )
            return pictures.BLACK, PLAIN, np.int64(0), np.float32(0)

        def fetch_one(example: Example) -> Example:
            kinds = (tf.string, tf.int32, tf.int64, tf.float32)
            image, traits, *loaded = tf.numpy_function(fetch, [example["position"]], kinds)
            image, label, weight = (tf.ensure_shape(value, []) for value in (image, *loaded))
            result = {"image": image, "traits": traits, "label": label}
            return result if replace_bad else {**result, "weight": weight}

        return examples.map(fetch_one, num_parallel_calls=reading.THREADS)

    def sample_16_bit(self, split: str) -> list[np.ndarray]:
        paths = [self._paths[place] for place in self._select(split, "split")]
        paths = [path for path in paths if path.lower().endswith(folder_files.MAY_HAVE_16_BITS)]
        samples: list[np.ndarray] = []
        # Throughout the split, whose classes may lie one behind the other.
        for path in paths[:: -(-len(paths) // _OPENED) or 1]:
            # Whoever trains on a bad file is told of it.
            with (
                contextlib.suppress(pictures.BadPictureError, tf.errors.OpError, OSError),
                tf.io.gfile.GFile(files.join(self._root, path), "rb") as file,
            ):
                if pictures.is_deep(pictures.open_picture(file)):
                    file.seek(0)
                    samples.append(sample_16_bit(file.read()))
            if len(samples) == MOST_SAMPLED:
                break
        return samples

    def decode(self, example: Example) -> tf.Tensor:
        pixels = decode_known(example["image"], example["traits"], self.pixel_rule)
        return tf.ensure_shape(pixels, self.image_shape)

    def report_bad_images(self, model_dir: str) -> contextlib.AbstractContextManager[None]:
        return self._bad.reporting(model_dir)

    def _select(self, split: str, field: str) -> np.ndarray:
        """Returns the places in `_paths` that `split` selects, int64 [n]."""

        def select() -> tuple[np.ndarray, int]:
            infos = {
                name: tfds.core.SplitInfo(name=name, shard_lengths=[count], num_bytes=0)
                for name, count in self._splits.items()
            }
            ends = np.cumsum(list(self._splits.values()))
            starts = dict(zip(self._splits, [0, *ends]))
            parts = []
            for part in tfds.core.splits.AbstractSplit.from_spec(split).to_absolute(infos):
                places = np.arange(self._splits[part.splitname], dtype=np.int64)
                parts.append(starts[part.splitname] + places[part.from_ : part.to])
            chosen = np.concatenate(parts)
            if self._kept is not None:
                chosen = chosen[self._kept[chosen]]
            return chosen, len(chosen)

        return self._select_with(select, split, field)[0]

    def _open(self, path: str) -> Decodable | None:
        """Returns a file, or None if it is bad."""
        full_path = files.join(self._root, path)
        if full_path in self._bad:
            return None
        try:
            with tf.io.gfile.GFile(full_path, "rb") as file:
                content = file.read()
            if path in self._sound:
                return Decodable(content, self._sound[path])
            image = to_decodable(content)
            if image.contents is content:
                self._sound[path] = image.traits
            return image
        except pictures.BadPictureError as error:
            self._bad.add(full_path, str(error))
        except (tf.errors.OpError, OSError, UnicodeError) as error:
            reason = getattr(error, "message", None) or str(error)
            self._bad.add(full_path, reason.rpartition("; ")[2].splitlines()[0])
        return None


def root_of(name: str) -> str:
    """Returns the folder that `folder:PATH` names. Raises SettingError if it cannot be one."""
    return clean(name.removeprefix(PREFIX), "dataset", prefix=PREFIX)


def open_folder(
    name: str, *, labels: str, on_bad_image: str, split_folders: bool | None = None
) -> FolderDataset:
    """Lists a folder of pictures, and opens none of them.

    Args:
      name: `folder:PATH`.
      labels: where labels come from; see `folder_labels.read_labels`.
      on_bad_image: what to do about a file that cannot be read: `skip` or `fail`.
      split_folders: whether folders such as `train` and `test` are the splits; see
        `folder_splits.choose_splits`.

    Raises:
      SettingError: if there are no pictures, or no labels where they were promised; or no folders
        that are splits where there have to be some.
    """
    root = root_of(name)
    listing = folder_files.list_files(name, root)
    splits = folder_splits.choose_splits(name, listing.paths, by_folder=split_folders)
    return FolderDataset(
        name,
        root,
        listing,
        splits,
        labels_from=labels,
        labels=folder_labels.read_labels(
            labels, listing.paths, root=root, split_folders=splits.by_folder
        ),
        on_bad_image=on_bad_image,
    )
