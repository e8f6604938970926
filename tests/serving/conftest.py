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

from simclr_tf.architecture import Architecture, uses_cifar_stem
from tests.serving.loader import Loader, compile_loader

SIZE = 40  # above 32: the central crop is part of the preprocessing


@dataclasses.dataclass(frozen=True)
class Exported:
    """A SavedModel, and what it is of."""

    folder: Path
    network: Any
    description: Any


def describe(image_size: int, *, num_classes: int | None = 10, **changes: Any) -> Any:
    """Returns the description of a tiny network, but for `changes` of its architecture."""
    from simclr_tf.checkpoints import Description

    tiny = Architecture(
        resnet_depth=18,
        width_multiplier=1 / 16,
        num_proj_layers=2,
        proj_out_dim=8,
        cifar_stem=uses_cifar_stem(image_size),
    )
    return Description(
        dataclasses.replace(tiny, **changes),
        image_size,
        train_mode="pretrain",
        num_classes=num_classes,
        dataset="digits",
    )


def make_network(description: Any, seed: int = 0) -> Any:
    """Returns a network whose every variable, moving statistics too, is drawn at random."""
    import tensorflow as tf

    from simclr_tf.training.build import build_plain

    tf.keras.utils.set_random_seed(seed)  # else kernels, and roundings, were others in each run
    network = build_plain(description.architecture, description.num_classes)
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

    names = tuple(f"class {number}" for number in range(10))
    description = dataclasses.replace(describe(SIZE), class_names=names, step=7)
    network = make_network(description)
    results = {}
    for precision in ("float32", "bfloat16"):
        path = export_saved_model(
            network,
            description,
            model_dir=str(tmp_path_factory.mktemp(precision)),
            export_precision=precision,
            keep=0,
        )
        results[precision] = Exported(Path(path), network, description)
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
            stack.callback(loader.close)
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
