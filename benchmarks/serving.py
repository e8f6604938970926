"""Serving from JPEG files: this project's SavedModel beside the naive one, in one run.

    python benchmarks/serving.py

A SavedModel of ResNet-50 (untrained: the time is the same) answers requests in TensorFlow's own
C loader, without Python (tests/serving/loader.c). Ours takes JPEG bytes, stored in float32 or in
bfloat16. The naive one takes float32 pixels, which the client makes with Pillow and NumPy; its
latency is the sum of both. Contenders alternate for several rounds; a machine with more processor
cores is held to two.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
if hasattr(os, "sched_setaffinity"):  # before TensorFlow counts cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

from simclr_tf import compat  # noqa: E402

compat.import_tensorflow()
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.contenders import make_pictures  # noqa: E402
from benchmarks.input_pipeline import processor  # noqa: E402
from simclr_tf.architecture import Architecture  # noqa: E402
from simclr_tf.checkpoints import Description  # noqa: E402
from simclr_tf.data.preprocessing import CROP_PROPORTION  # noqa: E402
from simclr_tf.serving.export import export_saved_model  # noqa: E402
from simclr_tf.training.build import build_plain  # noqa: E402
from tests.serving.loader import Loader, compile_loader  # noqa: E402

SIZE = 224


def main() -> None:
    """Exports, times and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=64, help="per contender, batch and round")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = compile_loader(folder)
        if program is None:
            sys.exit("error: no C compiler (cc, gcc or clang)")
        jpegs = [tf.io.encode_jpeg(p, quality=90).numpy() for p in make_pictures("224-jpeg")]
        contenders = _make_contenders(folder, program, jpegs)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        print(
            f"{processor()}, {cores} cores, load {os.getloadavg()[0]:.1f} at the start, "
            f"Python {platform.python_version()}, TensorFlow {tf.__version__}\n"
            f"sent per image: JPEG {statistics.mean(map(len, jpegs)) / 1e3:.0f} kB, "
            f"naive {SIZE * SIZE * 3 * 4 / 1e3:.0f} kB"
        )
        for batch in args.batches:
            times: dict[str, list[list[float]]] = {name: [] for name in contenders}
            for ask in contenders.values():
                ask(batch, 2)  # buffers, caches
            for _ in range(args.rounds):
                for contender, ask in contenders.items():
                    times[contender].append(ask(batch, max(4, args.images // batch)))
            _print(batch, times)


def _make_contenders(
    folder: Path, program: Path, jpegs: list[bytes]
) -> dict[str, Callable[[int, int], list[float]]]:
    """Returns functions batch size, requests -> milliseconds of each request."""
    description = Description(Architecture(), SIZE, train_mode=None, num_classes=None)
    network = build_plain(description.architecture)
    paths = [folder / f"{number}.jpg" for number in range(len(jpegs))]
    for path, content in zip(paths, jpegs):
        path.write_bytes(content)

    def ours(precision: str) -> Callable[[int, int], list[float]]:
        model_dir = str(folder / precision)
        exported = export_saved_model(
            network, description, model_dir=model_dir, export_precision=precision, keep=1
        )
        size = sum(file.stat().st_size for file in Path(exported).rglob("*")) / 1e6
        print(f"simclr_tf, {precision}: {size:.0f} MB")
        loader = Loader(program, Path(exported))

        def ask(batch: int, requests: int) -> list[float]:
            loader.ask("serving_default", "strings", *paths[:batch], repeats=requests)
            return loader.times

        return ask

    naive_folder = folder / "naive"
    _export_naively(network, naive_folder)
    naive_loader = Loader(program, naive_folder)

    def naive(batch: int, requests: int) -> list[float]:
        times = []
        for _ in range(requests):
            begin = time.perf_counter()
            images = np.stack([_preprocess(content) for content in jpegs[:batch]])
            spent = (time.perf_counter() - begin) * 1e3
            images.tofile(folder / "images")  # instead of the network: not counted
            naive_loader.ask("serving_default", "floats", folder / "images", *images.shape)
            times.append(spent + naive_loader.times[0])
        return times

    return {"simclr_tf": ours("float32"), "simclr_tf, bfloat16": ours("bfloat16"), "naive": naive}


def _export_naively(network: tf.keras.Model, folder: Path) -> None:
    module = tf.Module()
    module.all = network.variables
    spec = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="images")
    module.serve = tf.function(
        lambda images: {"features": network(images, training=False)["final_avg_pool"]},
        input_signature=[spec],
        autograph=False,
    )
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def _preprocess(content: bytes) -> np.ndarray:
    """The same crop and size in Pillow and NumPy."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    side = round(CROP_PROPORTION * min(image.size))
    left, top = (image.width - side + 1) // 2, (image.height - side + 1) // 2
    image = image.crop((left, top, left + side, top + side))
    image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) / 255


def _print(batch: int, times: dict[str, list[list[float]]]) -> None:
    rounds = len(times["naive"])
    print(f"\nbatch {batch}, median of {rounds} rounds of {len(times['naive'][0])} requests")
    rates = {
        name: statistics.median(batch * 1e3 * len(run) / sum(run) for run in runs)
        for name, runs in times.items()
    }
    for name, runs in times.items():
        p50, p99 = (
            statistics.median(float(np.percentile(run, q)) for run in runs) for q in (50, 99)
        )
        print(
            f"  {name:<20} {rates[name]:>7.1f} images/s, "
            f"{rates[name] / rates['naive']:.2f} x naive   p50 {p50:>7.1f} ms   p99 {p99:>7.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
