"""One run, one process: a file in `model_dir` says who trains there.

Nobody's clock is believed. The holder writes another number into the file every few seconds; who
finds the file watches whether the number changes. A holder that was killed changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from simclr_tf import files, paths
from simclr_tf.errors import RunFailed, SettingError
from simclr_tf.runs.folder import cannot_be_written

FILE_NAME = "lock.json"
SECONDS_BETWEEN_BEATS = 10.0
# A beat may be late: a network folder may hang, a machine may be busy.
SECONDS_WATCHED = 35.0
# How long two processes that begin at once may take to see each other's file, on file systems that
# cannot create a file for one of them only.
_SECONDS_TO_SETTLE = 2.0

# Of a file that its holder has not written yet, or that is damaged.
_UNKNOWN = dict.fromkeys(("token", "host", "process", "processes_of", "since"), "unknown")


class Lock:
    """A lock that this process holds."""

    def __init__(self, folder: str) -> None:
        self._path = files.join(folder, FILE_NAME)
        self._folder = folder
        self._made_folder = False
        self._released = threading.Event()
        self._content: dict[str, Any] = {
            "token": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "processes_of": _processes_of(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "beats": 0,
        }
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> None:
        """Takes the lock, of a holder that is gone too.

        Raises:
          SettingError: somebody else holds it.
        """
        self._made_folder = not tf.io.gfile.exists(self._folder)
        tf.io.gfile.makedirs(self._folder)
        taken_over = False
        while not self._create(settles=taken_over):
            holder = _read(self._path)
            if holder is not None and not _is_gone(holder) and _still_beats(self._path, holder):
                raise _held(self._folder, holder)
            with contextlib.suppress(tf.errors.NotFoundError):  # somebody else was faster
                tf.io.gfile.remove(self._path)
            taken_over = True
        self._thread.start()

    def check(self) -> None:
        """Raises RunFailed where another process has taken the lock, as after a long sleep."""
        holder = _read(self._path)
        if holder is not None and holder["token"] != self._content["token"]:
            raise RunFailed(
                f"`model_dir={self._folder}` was taken over by process {holder['process']} on "
                f"{holder['host']}, while this one gave no sign of life; nothing more is written"
            )

    def release(self) -> None:
        """Gives it back. Where nothing was written, there is no folder either."""
        self._released.set()
        self._thread.join()
        if self._is_holder():
            tf.io.gfile.remove(self._path)
            if self._made_folder and not paths.is_remote(self._folder):
                with contextlib.suppress(OSError):  # it is not empty
                    os.rmdir(self._folder)

    def _create(self, settles: bool) -> bool:
        """Writes the file where there is none, and says whether it is this process's.

        Args:
          settles: whether to look again, since others may have removed an old file as well.
        """
        if files.renames_folders(self._path):
            if not files.create_json(self._path, self._content):
                return False
        elif tf.io.gfile.exists(self._path):
            return False
        else:
            files.write_json(self._path, self._content)
            settles = True
        if settles:
            time.sleep(_SECONDS_TO_SETTLE)
        return not settles or self._is_holder()

    def _is_holder(self) -> bool:
        holder = _read(self._path)
        return holder is not None and holder["token"] == self._content["token"]

    def _beat(self) -> None:
        while not self._released.wait(SECONDS_BETWEEN_BEATS):
            # The next one may succeed; three that fail make the lock look abandoned.
            with contextlib.suppress(OSError, tf.errors.OpError):
                if tf.io.gfile.exists(self._path) and not self._is_holder():
                    return
                self._content["beats"] += 1
                files.write_json(self._path, self._content)


@contextlib.contextmanager
def holding(folder: str, *, needed: bool = True) -> Iterator[Lock | None]:
    """Holds the lock of `folder` while it is open.

    Args:
      folder: a run's model_dir. It is made.
      needed: False holds nothing: of several machines that share a run, the chief alone does.

    Raises:
      SettingError: another process holds it, or the folder cannot be written.
    """
    if not needed:
        yield None
        return
    lock = Lock(folder)
    try:
        lock.take()
    except (OSError, tf.errors.OpError) as error:
        raise cannot_be_written(folder, error) from None
    try:
        yield lock
    finally:
        lock.release()


def _held(folder: str, holder: dict[str, Any]) -> SettingError:
    return SettingError(
        "model_dir",
        folder,
        f"is in use by process {holder['process']} on {holder['host']} since {holder['since']}",
        "wait for it or stop it, or give another `model_dir`",
    )


def _read(path: str) -> dict[str, Any] | None:
    """Returns what the file says, None where there is none."""
    try:
        content = files.read_json(path)
    except tf.errors.NotFoundError:  # since it was looked for
        return None
    except (ValueError, OSError, tf.errors.OpError):
        content = {}
    if content is None:
        return None
    return {**_UNKNOWN, **(content if isinstance(content, dict) else {})}


def _is_gone(holder: dict[str, Any]) -> bool:
    """Says whether the holder was a process of this very machine, and has ended."""
    if (holder["host"], holder["processes_of"]) != (socket.gethostname(), _processes_of()):
        return False
    if holder["process"] == os.getpid():
        return True  # of an earlier life of the machine, a container's
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _still_beats(path: str, holder: dict[str, Any]) -> bool:
    """Watches a lock until it changes, or long enough to call it abandoned."""
    print(f"{path}: held by process {holder['process']} on {holder['host']}; watches", flush=True)
    end = time.monotonic() + SECONDS_WATCHED
    while time.monotonic() < end:
        time.sleep(0.5)
        now = _read(path)
        if now is None:
            return False  # it was given back
        if now != holder:
            return True
    return False


def _processes_of() -> str:
    """Tells which processes a number means: a machine's since it was started, or a container's."""
    with contextlib.suppress(OSError):  # not on Linux
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""
