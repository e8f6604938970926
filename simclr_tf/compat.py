"""The one place that knows which TensorFlow line is installed.

Python 3.11 runs TensorFlow 2.15, the last line tensorflow-addons supports; Python 3.12 and newer
runs current TensorFlow with tf-keras. `tf.keras` is Keras 2 on both.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import glob
import importlib
import importlib.metadata
import importlib.util
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_QUIET = "3"
_TPU_CHIPS = ("/dev/accel*", "/dev/vfio/[0-9]*")  # up to v4; v5 and newer
_NOTES = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")


def choose_keras() -> None:
    """Makes `tf.keras` Keras 2. Call before TensorFlow loads Keras."""
    if _tensorflow_version() >= (2, 16):
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def _tensorflow_version() -> tuple[int, int]:
    """Returns major and minor version of the TensorFlow that is installed, without importing it."""
    name = "tensorflow" if compiles_for_host() else "tensorflow-tpu"
    major, minor = importlib.metadata.version(name).split(".")[:2]
    return int(major), int(minor)


def compiles_for_host() -> bool:
    """Says whether jit_compile=True works on this machine's processor.

    tensorflow-tpu, which is TensorFlow under another name, compiles for TPUs alone.
    """
    try:
        importlib.metadata.version("tensorflow-tpu")
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def import_tensorflow() -> None:
    """Imports TensorFlow, with oneDNN and without start-up lines; warnings and errors stay.

    A user who sets TF_ENABLE_ONEDNN_OPTS or TF_CPP_MIN_LOG_LEVEL gets what they ask for.
    """
    # Where the processor has AVX2 only, TensorFlow leaves oneDNN out, and trains 2.7 times slower.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _QUIET)
    if not any(map(glob.glob, _TPU_CHIPS)):
        # tensorflow-tpu loads libtpu as it is imported, which then asks Google's metadata server,
        # and where there is none, for many minutes.
        os.environ.setdefault("TPU_LOAD_LIBRARY", "0")
    if "tensorflow" in sys.modules:
        return
    with _without_notes(), _uncollected():
        importlib.import_module("tensorflow")


def settle_keras() -> None:
    """Makes sure that Keras is Keras 2, also where TensorFlow was imported before this package.

    Raises:
      ImportError: it is too late for that.
    """
    if _tensorflow_version() < (2, 16):
        return
    import tensorflow as tf

    if hasattr(tf.keras, "version"):  # Keras 2 does not tell its own
        raise ImportError(
            "tf.keras is Keras 3 by now, and simclr_tf needs Keras 2: import simclr_tf before "
            "tf.keras is first used, or set TF_USE_LEGACY_KERAS=1 in the environment"
        )
    # What `from tensorflow.keras import ...` gives, as in keras-cv, was decided when TensorFlow was
    # imported; what `tf.keras` is, only now.
    sys.modules["tensorflow.keras"] = importlib.import_module("tf_keras.api._v2.keras")


def start_xla() -> None:
    """Compiles something, so that XLA says now, unheard, what it says once a process.

    Call after devices have been chosen.
    """
    import tensorflow as tf

    with _without_notes():
        tf.function(lambda x: x + 1, jit_compile=compiles_for_host())(tf.constant(0))


def close_pipelines_at_once() -> None:
    """Turns off the autotuning of the datasets by which strategies hand batches to devices.

    There is nothing to tune, and the tuning thread can miss that it is to end (TensorFlow 2.15 to
    2.21: it asks whether it has been canceled while it is being canceled). The pipeline then
    closes when the thread looks again by itself, which is up to a minute later. Datasets of this
    package say so in their options (`data/reading.py`), but these TensorFlow makes without any.
    """
    import tensorflow as tf
    from tensorflow.python.data.ops import multi_device_iterator_ops as iterators

    make = getattr(iterators, "_create_device_dataset", None)
    if make is None or hasattr(make, "__wrapped__"):
        return

    @functools.wraps(make)
    def untuned(*args: Any, **kwargs: Any) -> Any:
        options = tf.data.Options()
        options.autotune.enabled = False
        return make(*args, **kwargs).with_options(options)

    iterators._create_device_dataset = untuned


@contextlib.contextmanager
def quiet_tflite() -> Iterator[Any]:
    """Gives tf.lite, without what it prints when all is well.

    That is a table of what was converted, the name of its CPU delegate and, from TensorFlow 2.18
    on, that its interpreter will move to a package of its own. Errors are raised, not printed.
    """
    import tensorflow as tf

    with _without_notes(starts=("",)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tf.lite


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector from what an import creates: hundreds of thousands of objects.

    They stay; looking at them again and again takes a quarter of the time, and more later.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _without_notes(starts: tuple[str, ...] = _NOTES) -> Iterator[None]:
    """Drops lines of C++ that start so: by default what ignores TF_CPP_MIN_LOG_LEVEL at first."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != _QUIET:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as lines:
        terminal = os.dup(2)
        os.dup2(lines.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            lines.seek(0)
            sys.stderr.writelines(
                line
                for line in lines.read().decode(errors="replace").splitlines(keepends=True)
                if not line.startswith(starts)
            )


def keras_metadata() -> Any:
    """Returns an empty message of the kind that Keras writes beside a SavedModel."""
    package = "tf_keras" if _tensorflow_version() >= (2, 16) else "keras"
    return importlib.import_module(f"{package}.protobuf.saved_metadata_pb2").SavedMetadata()


def keras_cv() -> ModuleType:
    """Returns keras-cv, without the line about its backend that importing it prints."""
    settle_keras()
    _settle_matplotlib()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module("keras_cv")


def _settle_matplotlib() -> None:
    """Makes sure that matplotlib, which keras-cv imports, can be.

    A notebook hands its own backend down to the processes that it starts, by MPLBACKEND. Where they
    run in an environment that has no such package, matplotlib refuses to be imported.
    """
    scheme, _, module = os.environ.get("MPLBACKEND", "").partition("://")
    if scheme == "module" and importlib.util.find_spec(module.partition(".")[0]) is None:
        os.environ["MPLBACKEND"] = "agg"


def addons() -> ModuleType | None:
    """Returns tensorflow-addons, without its end-of-life notice, or None without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("tensorflow_addons")
        except ImportError:
            return None
