"""The one place that knows which TensorFlow line is installed.

Python 3.10-3.11 runs TensorFlow 2.15, the last line tensorflow-addons supports; Python 3.12 and
newer runs current TensorFlow with tf-keras. `tf.keras` is Keras 2 on both.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import os
import warnings
from types import ModuleType


def choose_keras() -> None:
    """Makes `tf.keras` Keras 2. Call before TensorFlow loads Keras."""
    major, minor = importlib.metadata.version("tensorflow").split(".")[:2]
    if (int(major), int(minor)) >= (2, 16):
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def quiet_dependencies() -> None:
    """Silences start-up logs and banners of TensorFlow. Call before TensorFlow is imported.

    A user who sets TF_CPP_MIN_LOG_LEVEL keeps it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def keras_cv() -> ModuleType:
    """Returns keras-cv, without the line about its backend that importing it prints."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module("keras_cv")


def addons() -> ModuleType | None:
    """Returns tensorflow-addons, without its end-of-life notice, or None without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("tensorflow_addons")
        except ImportError:
            return None
