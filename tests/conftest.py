"""Shared by all tests: a data folder of their own, and a small network on the bundled digits."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from simclr_tf import compat

compat.import_tensorflow()
gc.set_threshold(20_000, 20, 50)  # tracing creates much that stays: look at it less often
# Digits are prepared once a machine; TFDS writes aside and renames, so that workers may share it.
os.environ["TFDS_DATA_DIR"] = str(Path(tempfile.gettempdir()) / f"simclr_tf_tests_{os.getuid()}")

TINY = [
    "--dataset=digits",
    "--eval_split=test",
    "--image_size=8",
    "--resnet_depth=18",
    "--width_multiplier=0.0625",
    "--num_proj_layers=2",
    "--proj_out_dim=8",
    "--train_batch_size=16",
    "--eval_batch_size=128",
    "--warmup_epochs=0",
    "--learning_rate=0.1",
    "--train_summary_steps=2",
]


def call_in_graph(function: Callable[[], Any]) -> Any:
    """Calls a function that builds large networks in a graph that never runs.

    Their variables take neither memory nor time there. But in a graph Keras would change the bases
    of the layers' classes to those of TensorFlow 1, and break every layer that other tests have
    built: here it keeps them.
    """
    import tensorflow as tf

    (selector,) = (c for c in tf.keras.layers.Layer.__mro__ if c.__name__ == "LayerVersionSelector")
    with pytest.MonkeyPatch.context() as patch, tf.Graph().as_default():
        patch.setattr(sys.modules[selector.__module__], "should_use_v2", lambda: True)
        return tf.autograph.experimental.do_not_convert(function)()  # traces faster


@pytest.fixture(autouse=True)
def fresh_logger() -> None:
    """Forgets what a run of an earlier test prints its messages to."""
    logger = logging.getLogger("simclr_tf")
    logger.handlers.clear()
    logger.propagate = True


@pytest.fixture(scope="session", autouse=True)
def processes_end() -> Iterator[None]:
    """Ends what tests have started."""
    yield
    if "tests.processes" in sys.modules:
        sys.modules["tests.processes"].close_nursery()


@pytest.fixture(scope="module", autouse=True)
def memory_is_released() -> Iterator[None]:
    """Drops the graphs that a file's tests have built; the garbage collector skips what stays."""
    yield
    import tensorflow as tf
    from tensorflow.python.framework import ops

    tf.keras.backend.clear_session()
    # TensorFlow keeps each gradient of a `tf.custom_gradient`, and with it the graph, for good.
    gradients = ops.gradient_registry._registry
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_views() -> Callable[..., Any]:
    """Gives equal views once: XLA compiles them once a process, not once a run."""
    import tensorflow as tf

    from simclr_tf.augmentation import SimCLRViews

    made = functools.cache(lambda policy, *size, **settings: SimCLRViews(*size, **settings))
    return lambda *size, **settings: made(
        tf.keras.mixed_precision.global_policy().name, *size, **settings
    )


@pytest.fixture(scope="session")
def run_here(shared_views: Callable[..., Any]) -> Callable[..., int]:
    """Runs a command line in this process; returns its status."""
    import tensorflow as tf

    from simclr_tf.run import main
    from simclr_tf.runs import networks
    from tests.bare import bare

    def call(*flags: object, export: bool = True) -> int:
        """Takes `export=False` where nobody looks at what `bare` leaves out: half of the work."""
        tf.keras.backend.clear_session()
        with pytest.MonkeyPatch.context() as patch, nullcontext() if export else bare():
            patch.setattr(networks, "SimCLRViews", shared_views)
            try:
                return main(["simclr_tf", *map(str, flags)])
            finally:
                tf.keras.mixed_precision.set_global_policy("float32")

    return call


@pytest.fixture
def run(run_here: Callable[..., int]) -> Callable[..., int]:
    """Runs a command line in this process on a tiny network; returns its status."""
    return lambda *flags, tiny=True, **settings: run_here(
        *(TINY if tiny else []), *flags, **settings
    )
