"""The picture files of a folder tree: listed, not opened."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import SettingError
from simclr_tf.paths import is_remote

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pnm"),
)
MAY_HAVE_16_BITS = (".png", ".tif", ".tiff", ".pgm", ".pnm")

# What lies beside pictures and nobody takes for one: tables of labels, and what systems leave.
_EXPECTED = (".csv", ".tsv", "thumbs.db", "desktop.ini")
_SHOWN = 6  # kinds of files


class Listing(NamedTuple):
    """The files of a folder tree.

    Attributes:
      paths: of the pictures, relative to its root, parts joined by "/".
      left_out: how many files are no pictures by their names, by extension in lower case, "" where
        they have none.
    """

    paths: list[str]
    left_out: collections.Counter[str]

    def describe_left_out(self) -> str:
        """Returns what is to be said of the files that are left out, "" where there are none."""
        count = self.left_out.total()
        if not count:
            return ""
        kinds = sorted(self.left_out.items(), key=lambda kind: (-kind[1], kind[0]))
        shown = [f"{n:,} {extension or 'without extension'}" for extension, n in kinds[:_SHOWN]]
        others = count - sum(n for _, n in kinds[:_SHOWN])
        shown += [f"{others:,} others"] if others else []
        are = "files that are no pictures by their names"
        are = are if count > 1 else "file that is no picture by its name"
        return f"left out {count:,} {are}: {', '.join(shown)}"


def list_files(name: str, root: str) -> Listing:
    """Lists the picture files below `root`, and counts the others.

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
        found = _walk_remote(root) if is_remote(root) else _walk_local(root, "", frozenset())
        listing = _sort_out(found)
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
    if not listing.paths:
        left_out = listing.describe_left_out()
        kinds = ", ".join(f"*{extension}" for extension in EXTENSIONS)
        raise SettingError(
            "dataset",
            name,
            f": no pictures in {root} or below" + (left_out and f" ({left_out})"),
            f"give a folder with files named {kinds}",
        )
    return listing


def fingerprint(paths: Iterable[str]) -> str:
    """Returns what tells one list of files from another, in whatever order they come."""
    listing = b"\0".join(sorted(map(encode, paths)))
    return hashlib.blake2b(listing, digest_size=16).hexdigest()


def stamp(paths: Iterable[str]) -> str:
    """Returns what changes with sizes and times of the local files that are there."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(paths):
        with contextlib.suppress(OSError):
            found = os.stat(path)
            digest.update(b"%s\0%d %d\0" % (encode(path), found.st_size, found.st_mtime_ns))
    return digest.hexdigest()


def encode(path: str) -> bytes:
    """Returns the bytes of a path, also of one that is not UTF-8."""
    return path.encode("utf-8", "surrogateescape")


def _sort_out(found: Iterable[str]) -> Listing:
    """Tells pictures from other files by their names; hidden ones and tables do not count."""
    paths: list[str] = []
    left_out: collections.Counter[str] = collections.Counter()
    for path in found:
        name = path.rpartition("/")[2].lower()
        if name.startswith("."):
            continue
        if name.endswith(EXTENSIONS):
            paths.append(path)
        elif not name.endswith(_EXPECTED):
            left_out[posixpath.splitext(name)[1]] += 1
    return Listing(paths, left_out)


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
            elif not is_folder:
                yield prefix + entry.name


def _walk_remote(root: str) -> Iterator[str]:
    # TensorFlow's own walk asks the store for every file whether it is a folder. In a list of a
    # bucket, folders end with a slash.
    marked = root.startswith("gs://")
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        for entry in tf.io.gfile.listdir(files.join(root, prefix) if prefix else root):
            name = entry.strip("/")
            is_folder = entry.endswith("/")
            if not marked and not is_folder:
                is_folder = tf.io.gfile.isdir(files.join(root, prefix + name))
            if not is_folder:
                yield prefix + name
            elif name and not name.startswith("."):
                prefixes.append(f"{prefix}{name}/")
