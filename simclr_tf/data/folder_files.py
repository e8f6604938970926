"""The picture files of a folder tree: listed, not opened, and split by a hash of their paths."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

import tensorflow as tf

from simclr_tf.errors import SettingError
from simclr_tf.paths import is_remote

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pnm"),
)
MAY_HAVE_16_BITS = (".png", ".tif", ".tiff", ".pgm", ".pnm")

# Share of the paths that `validation` holds.
VALIDATION = 0.1


def list_pictures(name: str, root: str) -> list[str]:
    """Returns the paths of all picture files, relative to `root`, parts joined by "/".

    Files are told by their extension in upper or lower case. Hidden files and folders are left out;
    links are followed, but never back into a folder that leads to them.

    Args:
      name: of the data set, for errors.
      root: a local or remote (`gs://`) folder.

    Raises:
      SettingError: if there is no such folder, it cannot be listed, or it holds no pictures.
    """
    try:
        if not tf.io.gfile.exists(root):
            raise SettingError(
                "dataset", name, f": {root} does not exist", "give an existing folder"
            )
        if not tf.io.gfile.isdir(root):
            raise SettingError(
                "dataset", name, f": {root} is a file", "give the folder that holds it"
            )
        paths = list(_walk_remote(root) if is_remote(root) else _walk_local(root, "", frozenset()))
    except OSError as error:
        raise SettingError(
            "dataset",
            name,
            f": {error.filename or root} cannot be listed ({error.strerror})",
            "give yourself the right to read it, or another folder",
        ) from None
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise SettingError("dataset", name, f": {root} cannot be listed ({reason})") from None
    if not paths:
        kinds = ", ".join(f"*{extension}" for extension in EXTENSIONS)
        raise SettingError(
            "dataset",
            name,
            f": no pictures in {root} or below",
            f"give a folder with files named {kinds}",
        )
    return paths


def split_by_hash(paths: list[str]) -> tuple[list[str], list[str]]:
    """Splits paths into training and validation, each in the order of their hashes.

    Where a file belongs depends on its own path alone. The order has nothing to do with names, so
    that a slice of a split is a fair sample of it.
    """
    hashed = sorted((_hash(path), path) for path in paths)
    bound = int(VALIDATION * 2**64)
    train = [path for value, path in hashed if value >= bound]
    return train, [path for value, path in hashed if value < bound]


def fingerprint(paths: Iterable[str]) -> str:
    """Returns what tells one list of files from another, in whatever order they come."""
    listing = b"\0".join(sorted(map(encode, paths)))
    return hashlib.blake2b(listing, digest_size=16).hexdigest()


def encode(path: str) -> bytes:
    """Returns the bytes of a path, also of one that is not UTF-8."""
    return path.encode("utf-8", "surrogateescape")


def _hash(path: str) -> int:
    """Hashes a path to 64 bits, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(encode(path), digest_size=8).digest(), "big")


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def _walk_local(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Lists a folder whose identity, and those of the folders on the way to it, are in `above`."""
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return  # A link back to where we came from.
    with os.scandir(folder) as entries:
        for entry in entries:
            # os.path raises no error for a link that leads nowhere or to itself.
            is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
            if is_folder and not entry.name.startswith("."):
                yield from _walk_local(entry.path, f"{prefix}{entry.name}/", above | {identity})
            elif not is_folder and _is_picture(entry.name):
                yield prefix + entry.name


def _walk_remote(root: str) -> Iterator[str]:
    for folder, subfolders, names in tf.io.gfile.walk(root):
        prefix = folder[len(root) :].strip("/")
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (f"{prefix}/{name}".lstrip("/") for name in names if _is_picture(name))
