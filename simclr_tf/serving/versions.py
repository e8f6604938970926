"""The numbered folders that a model server polls: each complete, and never changed later."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints.description import FILE_NAME

# A server polls every second or so and may take long to load: it must not lose what it just chose.
SECONDS_TO_LOAD = 60


def list_versions(base: str) -> list[int]:
    """Returns the numbers of the versions in `base`, in increasing order."""
    if not tf.io.gfile.isdir(base):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(base))
    return sorted(int(name) for name in names if name.isdigit())


def newest_is(base: str, described: dict[str, Any]) -> str | None:
    """Returns the folder of the newest version if its simclr.json says what `described` says."""
    versions = list_versions(base)
    if not versions:
        return None
    folder = files.join(base, str(versions[-1]))
    try:
        stored = files.read_json(files.join(folder, "assets.extra", FILE_NAME))
    except ValueError:
        return None
    return folder if stored == described else None


def publish(write: Callable[[str], None], base: str, *, step: int, keep: int) -> str:
    """Writes a SavedModel to `base/<version>` and removes old versions.

    The version is `step`, or the number after the newest if that is not below it: servers take
    the greatest number for the newest, and never load a number again that they have.

    Args:
      write: writes the SavedModel to a folder, saved_model.pb last: without it there is none.
      base: what servers poll. Where folders cannot be renamed at once (gs://), they may see a
        version before it has its saved_model.pb.
      step: of training.
      keep: how many versions to keep, 0 for all. One that was the newest until a moment ago stays
        until the next call, since a server may be loading it.

    Returns:
      The folder.
    """
    tf.io.gfile.makedirs(base)
    aside = f"{base}_{uuid.uuid4().hex}.tmp"
    renames = files.renames_folders(base)
    if renames:
        with files.gone_if_unfinished(aside):
            write(aside)
    versions = list_versions(base)
    version = max(step, versions[-1] + 1) if versions else step
    target = files.join(base, str(version))
    if renames:
        tf.io.gfile.rename(aside, target)
    else:
        write(target)
    if keep:
        _prune(base, keep)
    return target


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
    path = files.join(folder, "saved_model.pb")
    if not tf.io.gfile.exists(path):
        return math.inf
    return time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9
