"""Which split a picture of a folder belongs to: a folder's name says so, or a hash of its path."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from simclr_tf.data.folder_files import encode
from simclr_tf.errors import SettingError

# Share of the paths that `validation` holds where a hash decides.
VALIDATION = 0.1
# Names of folders, in lower case, that are splits.
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in _SPLITS.items() for name in names}


class Splits(NamedTuple):
    """How a folder is read.

    Attributes:
      paths: of each split, relative to the root, in the order of their hashes.
      by_folder: whether the names of folders say what belongs to which.
      remark: the same in words.
    """

    paths: dict[str, list[str]]
    by_folder: bool
    remark: str


def choose_splits(name: str, paths: Sequence[str], *, by_folder: bool | None = None) -> Splits:
    """Splits a folder's pictures.

    Args:
      name: of the data set, for errors.
      paths: of all pictures, relative to their root.
      by_folder: whether folders such as `train` and `test` are the splits; None where their names
        are to say so: there are a `train` and another, and none beside them that is no split.

    Raises:
      SettingError: there are no such folders where there have to be.
    """
    tops = sorted({path.partition("/")[0] for path in paths if "/" in path})
    folders = {top: _SPLIT_OF[top.lower()] for top in tops if top.lower() in _SPLIT_OF}
    others = [top for top in tops if top not in folders]
    named = "train" in folders.values() and len(set(folders.values())) > 1
    if by_folder and (others or not named):
        lies = f"{others[0]} lies beside them" if others else "they are not there"
        raise SettingError(
            "dataset",
            name,
            f": the run took its splits from folders such as train and test, and now {lies}",
            "undo that to continue it",
        )
    if named and not others and by_folder is not False:
        splits = split_by_folder(paths, folders)
        beside = len(paths) - sum(map(len, splits.values()))
        more = f"; {beside:,} more beside these folders, left out" if beside else ""
        return Splits(splits, True, _describe(splits) + more)
    splits = split_by_hash(paths)
    more = " by a hash of the files' names"
    if named:
        why = "as when this run began" if by_folder is False else f"{others[0]} lies beside them"
        more += f"; its folders {', '.join(folders)} are no splits: {why}"
    return Splits(splits, False, _describe(splits) + more)


def split_by_folder(paths: Sequence[str], folders: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the paths of each split, in the order of their hashes; leaves out those of none.

    Args:
      paths: relative to their root.
      folders: the split of each folder in the root.
    """
    splits: dict[str, list[str]] = {s: [] for s in _SPLITS if s in folders.values()}
    for _, path in _by_hash(paths):
        split = folders.get(path.partition("/")[0])
        if split is not None:
            splits[split].append(path)
    return splits


def split_by_hash(paths: Sequence[str]) -> dict[str, list[str]]:
    """Splits paths into `train` and `validation`, each in the order of their hashes.

    Where a file belongs depends on its own path alone. The order has nothing to do with names, so
    that a slice of a split is a fair sample of it.
    """
    hashed = _by_hash(paths)
    bound = int(VALIDATION * 2**64)
    return {
        "train": [path for value, path in hashed if value >= bound],
        "validation": [path for value, path in hashed if value < bound],
    }


def _describe(splits: Mapping[str, Sequence[str]]) -> str:
    return "splits " + ", ".join(f"{split} {len(paths):,}" for split, paths in splits.items())


def _by_hash(paths: Sequence[str]) -> list[tuple[int, str]]:
    """Returns 64 bits of a hash of each path, the same on every machine, and the path, sorted."""
    return sorted(
        (int.from_bytes(hashlib.blake2b(encode(path), digest_size=8).digest(), "big"), path)
        for path in paths
    )
