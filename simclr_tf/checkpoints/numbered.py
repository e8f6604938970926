"""The checkpoints of a run, `ckpt-<step>`: listed by what lies in the folder, and nothing else.

TensorFlow's own functions take a folder's name for a pattern, and believe the small file
`checkpoint`, which may be missing, empty or of another time. It is written for other tools only.
"""

from __future__ import annotations

import re
import uuid

import tensorflow as tf

from simclr_tf import files

_INDEX = re.compile(r"ckpt-(\d+)\.index")
_FILE = re.compile(r"ckpt-\d+\.(index|data-\d+-of-\d+)")
# What is written aside, and TensorFlow's own folder beside that.
_ASIDE = re.compile(r"(?P<aside>(?P<final>ckpt-\d+)\.[0-9a-f]{32})(\..*|_temp)")


def prefix_of(folder: str, step: int) -> str:
    """Returns the path that the names of a checkpoint's files begin with."""
    return files.join(folder, f"ckpt-{step}")


def list_steps(folder: str) -> list[int]:
    """Returns the steps of the checkpoints in `folder` in increasing order, whole or not."""
    found = map(_INDEX.fullmatch, _names(folder))
    return sorted(int(match[1]) for match in found if match)


def move(folder: str, old: str, new: str) -> None:
    """Gives the files of a checkpoint other names, the index last: without it there is none.

    Args:
      folder: where they lie.
      old: what their names begin with.
      new: what they shall begin with, perhaps in a folder below. What lies there is overwritten.
    """
    for name in _files_of(folder, old):
        target = files.join(folder, new + name.removeprefix(old))
        tf.io.gfile.rename(files.join(folder, name), target, overwrite=True)


def remove(folder: str, step: int) -> None:
    """Removes a checkpoint, the index first."""
    for name in reversed(_files_of(folder, f"ckpt-{step}")):
        tf.io.gfile.remove(files.join(folder, name))


def is_empty(folder: str) -> bool:
    """Says whether `folder` holds no file of a checkpoint at all, not even a part of one."""
    return not any(map(_FILE.fullmatch, _names(folder)))


def name_aside(step: int) -> str:
    """Returns what the files of a checkpoint are called until it has been checked."""
    return f"ckpt-{step}.{uuid.uuid4().hex}"


def settle(folder: str) -> None:
    """Ends what a process had begun that was killed while it saved.

    The index is written last, and moved last. Where it lies aside all else is there, and gets its
    name; what has no index is removed.
    """
    names = _names(folder)
    for match in filter(None, map(_ASIDE.fullmatch, names)):
        if f"{match['aside']}.index" in names:
            move(folder, match["aside"], match["final"])
        remove_aside(folder, match["aside"])


def remove_aside(folder: str, aside: str) -> None:
    """Removes what is left of a checkpoint that was written aside."""
    for name in _names(folder):
        if name.startswith((f"{aside}.", f"{aside}_temp")):
            path = files.join(folder, name)
            tf.io.gfile.rmtree(path) if tf.io.gfile.isdir(path) else tf.io.gfile.remove(path)


def _files_of(folder: str, begin: str) -> list[str]:
    """Returns the names of a checkpoint's files, of which the index is the last."""
    names = [name for name in _names(folder) if name.startswith(f"{begin}.")]
    return sorted(names, key=lambda name: name.endswith(".index"))


def _names(folder: str) -> list[str]:
    if not tf.io.gfile.isdir(folder):
        return []
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
