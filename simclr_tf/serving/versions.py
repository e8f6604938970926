"""The numbered folders that a model server polls: each complete, and never changed later.

What a version is, simclr.json, is written last, and lists its files with their hashes.
"""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints.description import FILE_NAME
from simclr_tf.checkpoints.stored_weights import is_saved_model
from simclr_tf.checkpoints.trust import MODEL

# A server polls every second or so and may take long to load: it must not lose what it just chose.
SECONDS_TO_LOAD = 60
# Writing a version takes minutes at most. What is unfinished after an hour, nobody will finish.
SECONDS_TO_WRITE = 3600

METADATA = f"assets.extra/{FILE_NAME}"


def list_versions(base: str) -> list[int]:
    """Returns the numbers of the versions in `base`, in increasing order."""
    if not tf.io.gfile.isdir(base):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(base))
    return sorted(int(name) for name in names if name.isdigit())


def newest_is(base: str, described: dict[str, Any]) -> str | None:
    """Returns the folder of the newest version if it is whole, and what `described` says."""
    versions = list_versions(base)
    if not versions:
        return None
    folder = files.join(base, str(versions[-1]))
    try:
        stored = files.read_json(files.join(folder, METADATA)) or {}
    except ValueError:
        return None
    listed = stored.pop(files.LISTED, None)
    return folder if stored == described and files.are_as_listed(folder, listed) else None


def publish(
    write: Callable[[str], None],
    described: dict[str, Any],
    base: str,
    *,
    step: int,
    keep: int,
    check: Callable[[str], None] = lambda folder: None,
) -> str:
    """Writes a SavedModel to `base/<version>`; removes old versions, and unfinished ones.

    The version is `step`, or the number after the newest if that is not below it: servers take
    the greatest number for the newest, and never load a number again that they have.

    Args:
      write: writes the SavedModel to a folder.
      described: what it is, for simclr.json, which is written last.
      base: what servers poll. Where folders cannot be renamed at once (gs://), they may see a
        version before it has its saved_model.pb, which comes after all other files of theirs.
      step: of training.
      keep: how many versions to keep, 0 for all. One that was the newest until a moment ago stays
        until the next call, since a server may be loading it.
      check: raises what it likes if the folder is not to be published. It is a local one.

    Returns:
      The folder.

    Raises:
      OSError: what was written is not what is read.
    """
    tf.io.gfile.makedirs(base)
    with contextlib.ExitStack() as stack:
        renames = files.renames_folders(base)
        if renames:
            aside = f"{base}_{uuid.uuid4().hex}.tmp"
        else:
            aside = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(files.gone_if_unfinished(aside))
        write(aside)
        listed = files.list_hashes(aside)
        metadata = files.join(aside, METADATA)
        tf.io.gfile.makedirs(files.parent(metadata))
        files.write_json(metadata, {**described, files.LISTED: listed})
        check(aside)
        versions = list_versions(base)
        version = max(step, versions[-1] + 1) if versions else step
        target = files.join(base, str(version))
        if renames:
            files.require_as_listed(aside, listed)
            tf.io.gfile.rename(aside, target)
        else:
            _copy(aside, target, listed)
    _remove_unfinished(base)
    if keep:
        _prune(base, keep)
    return target


def _copy(source: str, target: str, listed: dict[str, str]) -> None:
    """Copies a version to where servers see each file as it comes."""
    for name in [*sorted(listed, key=lambda name: name == MODEL), METADATA]:
        path = files.join(target, name)
        tf.io.gfile.makedirs(files.parent(path))
        if name == METADATA:
            files.require_as_listed(target, listed)
        tf.io.gfile.copy(files.join(source, name), path)


def _remove_unfinished(base: str) -> None:
    """Removes what exporters that were killed have left: temporary folders, halves of versions."""
    versions = (files.join(base, str(version)) for version in list_versions(base))
    leftovers = [version for version in versions if not is_saved_model(version)]
    if files.renames_folders(base):
        folder, name = files.parent(base), base.rpartition("/")[2]
        temporary = re.compile(re.escape(name) + r"_[0-9a-f]{32}\.tmp/?")
        siblings = filter(temporary.fullmatch, tf.io.gfile.listdir(folder))
        leftovers += [files.join(folder, sibling) for sibling in siblings]
    for path in leftovers:
        with contextlib.suppress(tf.errors.NotFoundError):  # another exporter was faster
            if _seconds_since_last_write(path) > SECONDS_TO_WRITE:
                tf.io.gfile.rmtree(path)


def _seconds_since_last_write(folder: str) -> float:
    """Infinite for a folder without files."""
    walk = tf.io.gfile.walk(folder)
    written = (files.join(where, name) for where, _, names in walk for name in names)
    last = max((tf.io.gfile.stat(path).mtime_nsec for path in written), default=-math.inf)
    return time.time() - last / 1e9


def _prune(base: str, keep: int) -> None:
    versions = list_versions(base)
    for old, successor in list(zip(versions, versions[1:]))[: max(0, len(versions) - keep)]:
        with contextlib.suppress(tf.errors.NotFoundError):  # another exporter was faster
            if _age(files.join(base, str(successor))) > SECONDS_TO_LOAD:
                _remove(files.join(base, str(old)), base)


def _remove(folder: str, base: str) -> None:
    if files.renames_folders(base):
        # First out of sight: a removal that is interrupted leaves no half of a model.
        trash = f"{base}_{uuid.uuid4().hex}.tmp"
        tf.io.gfile.rename(folder, trash)
        folder = trash
    tf.io.gfile.rmtree(folder)


def _age(folder: str) -> float:
    """Seconds since a version was written; infinite for a folder that is none."""
    path = files.join(folder, MODEL)
    if not tf.io.gfile.exists(path):
        return math.inf
    return time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9
