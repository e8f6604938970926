"""Silences tensorflow-datasets."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import tensorflow_datasets as tfds


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Keeps TFDS's banners, bars and deprecation warnings off the screen."""
    tfds.disable_progress_bar()
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
