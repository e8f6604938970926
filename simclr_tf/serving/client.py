"""Asks a TensorFlow Serving server about image files: embeddings, top classes, timings.

python -m simclr_tf.serving.client --server=HOST:8500 IMAGE...
python -m simclr_tf.serving.client --rest=HOST:8501 IMAGE...
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simclr_tf.arguments import ArgumentParser
from simclr_tf.errors import SettingError, UserError, print_error
from simclr_tf.paths import clean
from simclr_tf.pictures import BadPictureError, is_jpeg_or_png, open_picture, to_png
from simclr_tf.serving.transports import GrpcTransport, RefusedError, RestTransport, Transport

_TOP = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status: 0, or 2 for bad input."""
    args = _parse(argv)
    try:
        _clean_paths(args)
        pictures = [_read(path) for path in args.images]
        names = _read_class_names(args.class_names) if args.class_names else None
        if args.output:
            _check_output(args.output)
        kind, address = (GrpcTransport, args.server) if args.server else (RestTransport, args.rest)
        _ask(kind(address, args.model, args.timeout), args, pictures, names)
    except UserError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return 130
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(
        prog="python -m simclr_tf.serving.client", description=(__doc__ or "").splitlines()[0]
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", metavar="HOST:8500", help="the server's gRPC address")
    where.add_argument("--rest", metavar="HOST:8501", help="the server's HTTP address")
    parser.add_argument("--model", default="simclr", help="its name on the server (%(default)s)")
    parser.add_argument(
        "--class_names",
        metavar="FILE",
        help="simclr.json from the SavedModel's assets.extra/, or a text file with a class a line",
    )
    parser.add_argument("--output", metavar="FILE.npy", help="where to write the embeddings")
    parser.add_argument(
        "--batch_size", type=_positive(int), default=32, help="images a request (%(default)s)"
    )
    parser.add_argument(
        "--timeout",
        type=_positive(float),
        default=30.0,
        help="seconds for a request, including attempts while the server is busy (%(default)g)",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture file")
    return parser.parse_args(argv)


def _clean_paths(args: argparse.Namespace) -> None:
    args.images = [clean(path) for path in args.images]
    for name in ("class_names", "output"):
        if getattr(args, name) is not None:
            setattr(args, name, clean(getattr(args, name), name))


def _positive(kind: type) -> type:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < 1e9:
            raise ValueError(text)
        return value

    parse.__name__ = f"positive {kind.__name__}"  # what argparse calls it in its message
    return parse  # type: ignore[return-value]


def _read(path: str) -> bytes:
    """Returns a picture file as one that servers decode."""
    try:
        contents = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if is_jpeg_or_png(contents):
        return contents
    try:
        return to_png(open_picture(io.BytesIO(contents)))
    except BadPictureError as error:
        raise UserError(f"{path}: {error}") from None


def _read_class_names(path: str) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        names = json.loads(text)["class_names"] if path.endswith(".json") else text.splitlines()
        if not (names is None or isinstance(names, list)):
            raise TypeError
    except OSError as error:
        raise SettingError("class_names", path, f": {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SettingError("class_names", path, "is no simclr.json") from None
    if names is None:
        raise SettingError("class_names", path, ": this model has no named classes", "remove it")
    return names


def _check_output(path: str) -> None:
    if not path.endswith(".npy"):
        raise SettingError("output", path, "must end in .npy, NumPy's format")
    if not Path(path).parent.is_dir():
        folder = Path(path).parent
        raise SettingError("output", path, f": {folder} is no folder", "make it first")


def _ask(
    transport: Transport,
    args: argparse.Namespace,
    pictures: list[bytes],
    names: list[str] | None,
) -> None:
    """Sends the pictures in batches and prints what comes back as it comes."""
    features, times = [], []
    for first in range(0, len(pictures), args.batch_size):
        paths = args.images[first : first + args.batch_size]
        begin = time.perf_counter()
        batch = pictures[first : first + args.batch_size]
        outputs = _predict(transport, batch, paths, args.model)
        times.append(time.perf_counter() - begin)
        if "features" not in outputs or len(outputs["features"]) != len(paths):
            raise SettingError(
                "model", args.model, "does not answer with features", "is it of simclr_tf?"
            )
        features.append(outputs["features"])
        for row, path in enumerate(paths):
            print(_describe(path, {name: value[row] for name, value in outputs.items()}, names))
    if args.output:
        np.save(args.output, np.concatenate(features))
    total = sum(times)
    print(
        f"{len(pictures)} images in {total:.3f} s, {len(pictures) / total:,.1f} images/s; "
        f"requests {len(times)}, first {times[0] * 1e3:.1f} ms, "
        f"median {np.median(times) * 1e3:.1f} ms"
    )


def _predict(
    transport: Transport, pictures: Sequence[bytes], paths: Sequence[str], model: str
) -> dict[str, np.ndarray]:
    """Returns the server's answer; where it refuses the batch, finds the picture it means."""
    try:
        return transport.predict(pictures)
    except RefusedError as error:
        # After the reason, the server says where in the graph it happened.
        message = str(error).split("[[")[0].strip()
        numbered = re.search(r"image (\d+) of the request (.*?)\]?$", message)
        if numbered and int(numbered[1]) < len(paths):
            raise UserError(f"{paths[int(numbered[1])]} {numbered[2]}") from None
        if len(paths) == 1:
            raise UserError(f"the server refused {paths[0]} (`model={model}`): {message}") from None
        for path, picture in zip(paths, pictures):
            _predict(transport, [picture], [path], model)
        raise UserError(f"the server refused {len(paths)} images at once: {message}") from None


def _describe(path: str, outputs: dict[str, np.ndarray], names: list[str] | None) -> str:
    features = outputs["features"]
    shown = " ".join(f"{value:.4f}" for value in features[:4])
    lines = [
        f"{path}\n  features [{features.size}] {shown} ..., norm {np.linalg.norm(features):.4f}"
    ]
    if "probabilities" in outputs:
        probabilities = outputs["probabilities"]
        best = np.argsort(-probabilities, kind="stable")[:_TOP]
        tops = (f"{_name(names, number)} {probabilities[number]:.3f}" for number in best)
        lines.append(f"  classes  {', '.join(tops)}")
    return "\n".join(lines)


def _name(names: list[str] | None, number: int) -> str:
    return names[number] if names and number < len(names) else str(number)


if __name__ == "__main__":
    sys.exit(main())
