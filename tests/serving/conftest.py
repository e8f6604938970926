"""A network with a life behind it, exported once for all tests, and a server without Python."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags

from tests.conftest import TINY
from tests.serving.loader import Loader, compile_loader

SIZE = 40  # above 32: the central crop is part of the preprocessing


@dataclasses.dataclass(frozen=True)
class Exported:
    """A SavedModel, and what it is of."""

    folder: Path
    network: Any
    config: Any


def make_config(*given: str) -> Any:
    """Returns the configuration of a command line on the tiny network."""
    from simclr_tf import config, flag_definitions

    values = flags.FlagValues()
    flag_definitions.define(values)
    values(["simclr_tf", *TINY, *given])
    return config.from_flags(values)


def make_network(config: Any, seed: int = 0) -> Any:
    """Returns a network whose every variable, moving statistics too, is drawn at random."""
    from simclr_tf.training.build import build_plain

    network = build_plain(config, num_classes=10)
    rng = np.random.default_rng(seed)
    for variable in network.variables:
        shape = variable.shape
        if "moving_variance" in variable.name:  # small: what differs between images is enlarged
            variable.assign(rng.uniform(0.3, 0.6, shape))
        elif shape.rank == 1:
            variable.assign(variable + rng.normal(0, 0.1, shape))
    return network


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> dict[str, Exported]:
    """The same network exported in either precision."""
    from simclr_tf.serving.export import export_saved_model

    base = make_config(f"--image_size={SIZE}")
    network = make_network(base)
    results = {}
    for precision in ("float32", "bfloat16"):
        folder = tmp_path_factory.mktemp(precision)
        config = dataclasses.replace(base, export_precision=precision, model_dir=str(folder))
        names = [f"class {number}" for number in range(10)]
        path = export_saved_model(network, config, class_names=names, step=7)
        results[precision] = Exported(Path(path), network, config)
    return results


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """loader.c, compiled against the installed TensorFlow."""
    path = compile_loader(tmp_path_factory.mktemp("loader"))
    if path is None:
        pytest.skip("no C compiler (cc, gcc or clang): the C API is not tried")
    return path


@pytest.fixture
def load(program: Path) -> Iterator[Callable[[Path], Loader]]:
    """Starts servers without Python; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(folder: Path) -> Loader:
            loader = Loader(program, folder)
            stack.callback(loader.process.wait)
            stack.callback(loader.process.kill)
            watchdog = threading.Timer(300, loader.process.kill)  # what hangs is an error too
            watchdog.start()
            stack.callback(watchdog.cancel)
            return loader

        yield start


def encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    """Returns a picture file as Pillow writes it."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def write_pictures(folder: Path, contents: Sequence[bytes]) -> list[Path]:
    """Writes picture files and returns where they are."""
    paths = [folder / f"{number}.picture" for number in range(len(contents))]
    for path, content in zip(paths, contents):
        path.write_bytes(content)
    return paths
