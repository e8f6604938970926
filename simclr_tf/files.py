"""Files of a run: local or gs:// paths alike, each whole or absent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from simclr_tf.errors import SettingError
from simclr_tf.paths import is_remote, scheme_of


def join(*parts: str) -> str:
    """Joins path parts; local and gs:// paths alike."""
    return "/".join([*(p.rstrip("/") for p in parts[:-1]), parts[-1]])


def parent(path: str) -> str:
    """Returns the folder that a file lies in; local and gs:// paths alike."""
    folder, slash, _ = path.rpartition("/")
    return folder or slash or "."


def renames_folders(path: str) -> bool:
    """Says whether a folder there is renamed at once. gs:// and the like know files only."""
    return not is_remote(path)


def check_reachable(field: str, value: str, path: str | None = None) -> None:
    """Raises SettingError if TensorFlow has no file system for a path such as s3://bucket/folder.

    Args:
      field: the setting that names the path.
      value: its value.
      path: the path in it, where it is not the whole.
    """
    scheme = scheme_of(value if path is None else path)
    known = sorted(filter(None, tf.io.gfile.get_registered_schemes()))
    if scheme and scheme not in known:
        others = ", ".join(f"{name}://" for name in known)
        raise SettingError(
            field,
            value,
            f"is on {scheme}://, which TensorFlow {tf.__version__} on this machine cannot reach",
            f"give a path on a disk of this machine, or on one of {others}",
        )


@contextlib.contextmanager
def gone_if_unfinished(aside: str) -> Iterator[None]:
    """Removes a folder that is written aside where that fails, or is interrupted."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, tf.errors.OpError):
            tf.io.gfile.rmtree(aside)
        raise


def write_text(path: str, text: str) -> None:
    """Writes `text` in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: str, content: bytes) -> None:
    """Writes aside, then renames, so that a reader never sees half a file."""
    aside = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with tf.io.gfile.GFile(aside, "wb") as file:
            file.write(content)
        tf.io.gfile.rename(aside, path, overwrite=True)
    except BaseException:
        with contextlib.suppress(OSError, tf.errors.OpError):
            tf.io.gfile.remove(aside)
        raise


def create_json(path: str, value: Any) -> bool:
    """Writes `value` as JSON where there is no file, of all processes that try at once for one.

    Args:
      path: on a file system of the operating system's.
      value: what to write.

    Returns:
      Whether it was this process. Others may see an empty file for a moment.
    """
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(_as_json(value))
    except FileExistsError:
        return False
    return True


def write_json(path: str, value: Any) -> None:
    """Writes `value` as JSON, whole or not at all."""
    write_text(path, _as_json(value))


def read_json(path: str) -> Any | None:
    """Returns the parsed file, or None where there is none."""
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def sha256(path: str) -> str:
    """Returns the hash of a file, as `sha256sum` prints it."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


LISTED = "files"
"""Of a file's or folder's metadata: SHA-256 by path, of all that must be there."""


def list_hashes(folder: str) -> dict[str, str]:
    """Returns the SHA-256 of each file below `folder`, by its path from there."""
    start = len(folder.rstrip("/")) + 1
    found = (join(where, name) for where, _, names in tf.io.gfile.walk(folder) for name in names)
    return {path[start:]: sha256(path) for path in sorted(found)}


def are_as_listed(folder: str, listed: Any) -> bool:
    """Says whether `folder` holds what `list_hashes` returned once, whatever else it holds."""
    return isinstance(listed, dict) and all(
        tf.io.gfile.exists(path) and sha256(path) == expected
        for path, expected in ((join(folder, name), value) for name, value in listed.items())
    )


def require_as_listed(folder: str, listed: dict[str, str]) -> None:
    """Raises OSError where `folder` does not hold what was just written there."""
    if not are_as_listed(folder, listed):
        raise OSError(f"{folder}: what was written is not what is read; is the disk damaged?")


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
