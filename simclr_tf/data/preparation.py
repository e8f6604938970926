"""Finds a TFDS builder and prepares its data: quietly, or with an error a user can act on."""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib.util
import logging
import os
from collections.abc import Iterator
from typing import Any

import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core.download import downloader

from simclr_tf.data import digits
from simclr_tf.data.quiet import quiet_tfds
from simclr_tf.errors import SettingError
from simclr_tf.paths import is_remote

logger = logging.getLogger(__name__)

# TFDS by itself tries an unreachable host ten times, 200 seconds in all, and waits without limit
# for one that does not answer.
_DOWNLOAD_RETRIES = 2
_CONNECT_SECONDS, _READ_SECONDS = 5, 60

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def find_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """Returns the builder of `name`, for the prepared version where there is one.

    Args:
      name: TFDS name, `name[/config][:version]`.
      data_dir: folder that holds `<name>/`; None means TFDS's own default.

    Raises:
      SettingError: if there is no such data set, configuration or version.
    """
    if not name:
        raise SettingError("dataset", None, "is empty", "give a name, such as cifar10 or digits")
    if ":" in name and not name.rpartition(":")[2][:1].isdigit():
        raise SettingError(
            "dataset",
            name,
            ": data sets of a TFDS community namespace are not supported",
            "prepare it with TFDS and give its plain name and `data_dir`",
        )
    with quiet_tfds():
        try:
            builder = tfds.builder(name, data_dir=data_dir)
            if builder.data_path.exists() or isinstance(builder, digits.Digits):
                return builder
        except tfds.core.DatasetNotFoundError as error:
            raise _unknown(name) from error
        except Exception as error:  # TFDS raises whatever it likes: AssertionError, ValueError, ...
            if str(error).startswith("Parsing builder name"):
                raise _unknown(name) from error
            # TFDS repeats the call before it comes to the cause.
            reason = _shorten(str(error).partition('}": ')[2] or str(error))
            raise SettingError("dataset", name, f": {reason}", "mend the name") from error
        try:
            # Data prepared by another version of TFDS are as good, and cost no download.
            return read_only_builder.builder_from_files(name, data_dir=data_dir)
        except (OSError, ValueError):
            return builder  # Not there either: the code's own version is to be prepared.


def prepare(
    builder: tfds.core.DatasetBuilder, name: str, data_dir: str | None
) -> tfds.core.DatasetBuilder:
    """Downloads and writes the data where they are not there yet; returns a builder to read them.

    Whole or absent: TFDS writes into a folder of a random name and renames it. Where two processes
    prepare at once, the later one takes what the earlier one wrote.

    Raises:
      SettingError: if the data cannot be downloaded or written.
    """
    if builder.info.splits:
        return builder
    if builder.data_path.exists():  # Prepared meanwhile by another process.
        return find_builder(name, data_dir)
    root = os.fspath(builder.data_path).removesuffix("/")
    root = root[: -len(builder.info.full_name)].rstrip("/") or "/"
    _check_can_prepare(builder, name, root)
    logger.info("preparing %s in %s", name, root)
    try:
        with quiet_tfds(), _impatient():
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
    except Exception as error:  # A download, a disk or a parser: TFDS does not narrow it down.
        if not builder.data_path.exists():
            raise _failed(error, builder, name, root) from error
    return find_builder(name, data_dir)


def _check_can_prepare(builder: tfds.core.DatasetBuilder, name: str, root: str) -> None:
    """Raises SettingError where preparing is bound to fail, before any work."""
    if isinstance(builder, digits.Digits) and importlib.util.find_spec("sklearn") is None:
        raise SettingError("dataset", name, "needs scikit-learn: run pip install scikit-learn")
    if is_remote(root):
        return
    parent = root
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent) or "."
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        raise _unwritable(builder, name, root)
    manual = os.path.join(root, "downloads", "manual")
    instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if instructions and not (os.path.isdir(manual) and os.listdir(manual)):
        raise SettingError(
            "dataset",
            name,
            f"must be downloaded by hand: give `data_dir=<folder that holds {builder.name}/>`, or "
            f"fill {manual} as TFDS asks: {_on_one_line(instructions)}",
        )


def _on_one_line(text: str) -> str:
    """Returns a text of TFDS's on one line, and its backticks as quotes: ours mark settings."""
    return " ".join(text.split()).replace("`", "'")


def _shorten(text: str, limit: int = 200) -> str:
    """Returns a text of TFDS's on one line of at most `limit` characters."""
    text = _on_one_line(text).rstrip(".")
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _unknown(name: str) -> SettingError:
    names = tfds.list_builders(with_community_datasets=False)
    asked = name.lower().replace("-", "_").partition("/")[0].partition(":")[0]
    close = difflib.get_close_matches(asked, names, n=3)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    return SettingError(
        "dataset",
        name,
        ": no such data set",
        f"{hint}give a name of https://www.tensorflow.org/datasets/catalog, or "
        f"`data_dir=<folder that holds {asked}/>`",
    )


def _unwritable(builder: tfds.core.DatasetBuilder, name: str, root: str) -> SettingError:
    return SettingError(
        "dataset",
        name,
        f"is not in {root}, which cannot be written to",
        f"give `data_dir=<folder that holds {builder.name}/, or that can be written to>`",
    )


def _failed(
    error: Exception, builder: tfds.core.DatasetBuilder, name: str, root: str
) -> SettingError:
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return _unwritable(builder, name, root)
    reason = _shorten(str(error)) or type(error).__name__
    if isinstance(error, requests.exceptions.RequestException) and error.request is not None:
        reason = f"no download from {error.request.url!s}"
    return SettingError(
        "dataset",
        name,
        f"is not in {root} and cannot be prepared ({reason})",
        f"give `data_dir=<folder that holds {builder.name}/>`",
    )


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Makes TFDS's downloader give up on a network that is not there within seconds."""
    retries, open_url = downloader.MAX_RETRIES, downloader._open_url

    def open_with_timeout(url: str, **kwargs: Any) -> Any:
        return open_url(url, timeout=(_CONNECT_SECONDS, _READ_SECONDS), **kwargs)

    downloader.MAX_RETRIES, downloader._open_url = _DOWNLOAD_RETRIES, open_with_timeout
    try:
        yield
    finally:
        downloader.MAX_RETRIES, downloader._open_url = retries, open_url
