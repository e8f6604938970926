"""Keeps the names of picture files that cannot be read, and stops the run where that is asked."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import SettingError, UserError, first_line

FILE_NAME = "bad_images.txt"

logger = logging.getLogger(__name__)

# The list is rewritten at most this often: a run that is killed loses what came after.
_SECONDS_BETWEEN_WRITES = 5.0


class BadImages:
    """The bad files that the threads of an input pipeline have met, by path.

    Args:
      fail: whether to stop at the first one.
    """

    def __init__(self, *, fail: bool):
        self._fail = fail
        self._reasons: dict[str, str] = {}
        self._make_error: Callable[[], UserError] | None = None
        self._model_dir = ""
        self._written = 0.0
        self._lock = threading.Lock()

    def __contains__(self, path: str) -> bool:
        return path in self._reasons

    def add(self, path: str, reason: str) -> None:
        """Adds a file to the list. Raises SettingError if bad files are to stop the run."""
        if self._fail:
            self.stop(
                lambda: SettingError(
                    "on_bad_image",
                    "fail",
                    f": {path}: {reason}",
                    "mend or remove the file, or give `on_bad_image=skip`",
                )
            )
        with self._lock:
            if path in self._reasons:
                return
            self._reasons[path] = reason
            if len(self._reasons) == 1:
                where = f"named in {self._list_path}" if self._model_dir else "named at the end"
                logger.warning("skipped %s: %s; all such files are %s", path, reason, where)
            if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
                self._write()

    def stop(self, make_error: Callable[[], UserError]) -> NoReturn:
        """Raises an error that also comes out of the `reporting` around the pipeline."""
        # Not the error itself: its traceback would keep the pipeline's threads at work.
        self._make_error = make_error
        raise make_error()

    @contextlib.contextmanager
    def reporting(self, model_dir: str) -> Iterator[None]:
        """Writes the list into `model_dir` while and after the pipeline runs; "" prints it.

        Raises:
          UserError: in place of TensorFlow's error, if the pipeline was stopped from here.
        """
        self._model_dir = model_dir
        try:
            yield
        except tf.errors.OpError:
            if self._make_error is None:
                raise
            raise self._make_error() from None
        finally:
            if self._reasons:
                self._finish()

    @property
    def _list_path(self) -> str:
        return files.join(self._model_dir, FILE_NAME)

    def _finish(self) -> None:
        with self._lock:
            self._write()
        count = len(self._reasons)
        number = "1 file" if count == 1 else f"{count:,} files"
        if self._model_dir:
            logger.warning("%s could not be read; see %s", number, self._list_path)
        else:
            names = "".join(f"\n  {path}: {why}" for path, why in sorted(self._reasons.items()))
            logger.warning("%s could not be read:%s", number, names)

    def _write(self) -> None:
        """Rewrites the list, with what earlier runs in `model_dir` found."""
        if not self._model_dir:
            return
        self._written = time.monotonic()
        lines = {}
        try:
            if tf.io.gfile.exists(self._list_path):
                with tf.io.gfile.GFile(self._list_path) as file:
                    lines = {line.partition("\t")[0]: line for line in file.read().splitlines()}
            for path, reason in self._reasons.items():
                lines[_on_one_line(path)] = f"{_on_one_line(path)}\t{_on_one_line(reason)}"
            tf.io.gfile.makedirs(self._model_dir)
            files.write_text(self._list_path, "".join(f"{lines[key]}\n" for key in sorted(lines)))
        except (OSError, tf.errors.OpError) as error:  # a list is not worth a run
            logger.warning("%s cannot be written: %s", self._list_path, first_line(error))


def _on_one_line(text: str) -> str:
    """Escapes what would break a line or a column, and bytes that are not UTF-8."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text.translate({ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r"})
