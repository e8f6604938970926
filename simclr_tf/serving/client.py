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
from simclr_tf.serving.answers import Add, writing_features
from simclr_tf.serving.transports import GrpcTransport, RefusedError, RestTransport, Transport
from simclr_tf.terminal import ending_where_nobody_reads

_TOP = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status.

    Returns:
      0; 1 if some of the pictures have no answer; 2 for bad input, or if the server cannot be
      asked; 130 if stopped by Ctrl-C; 141 if nobody reads what it prints any more.
    """
    try:
        with ending_where_nobody_reads():
            args = _parse(argv)
            _clean_paths(args)
            names = _read_class_names(args.class_names) if args.class_names else None
            with writing_features(args.output) as keep:
                return _ask(_open_transport(args), args, names, keep)
    except UserError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(
        prog="python -m simclr_tf.serving.client", description=(__doc__ or "").splitlines()[0]
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", metavar="HOST:8500", help="the server's gRPC address")
    where.add_argument("--rest", metavar="HOST:8501", help="its HTTP address; also https://HOST")
    parser.add_argument("--tls", action="store_true", help="encrypt gRPC, which --server is")
    parser.add_argument("--model", default="simclr", help="its name on the server (%(default)s)")
    parser.add_argument(
        "--class_names",
        metavar="FILE",
        help="simclr.json from the SavedModel's assets.extra/, or a text file with a class a line",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="where to write the embeddings: .npy (with names beside) or .csv",
    )
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


def _open_transport(args: argparse.Namespace) -> Transport:
    if args.server:
        return GrpcTransport(args.server, args.model, args.timeout, tls=args.tls)
    if args.tls:
        raise SettingError("tls", None, "is for `server`", "give `rest=https://HOST`")
    return RestTransport(args.rest, args.model, args.timeout)


def _clean_paths(args: argparse.Namespace) -> None:
    """Raises UserError where a picture is not there: what is misspelt is said before any work."""
    args.images = [clean(path) for path in args.images]
    for path in args.images:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
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


def read_picture(path: str) -> bytes:
    """Returns a picture file as one that servers decode.

    Raises:
      BadPictureError: it is none.
      OSError: it cannot be read.
    """
    contents = Path(path).read_bytes()
    return contents if is_jpeg_or_png(contents) else to_png(open_picture(io.BytesIO(contents)))


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


def _ask(transport: Transport, args: argparse.Namespace, names: list[str] | None, keep: Add) -> int:
    """Sends the pictures in batches; prints and keeps what comes back as it comes.

    Returns:
      The exit status.
    """
    answered, times = 0, []
    for first in range(0, len(args.images), args.batch_size):
        pictures = _read_all(args.images[first : first + args.batch_size])
        if not pictures:
            continue
        begin = time.perf_counter()
        answers = _predict(transport, pictures)
        times.append(time.perf_counter() - begin)
        answered += len(answers)
        for path, answer in answers.items():
            if "features" not in answer:
                raise SettingError(
                    "model", args.model, "does not answer with features", "is it of simclr_tf?"
                )
            print(_describe(path, answer, names))
        sys.stdout.flush()
        keep(list(answers), [answer["features"] for answer in answers.values()])
        if not answered:
            raise SettingError(
                "model", args.model, "has refused all pictures so far", "is it of simclr_tf?"
            )
    total = sum(times)
    if answered:
        print(
            f"{answered} images in {total:.3f} s, {answered / total:,.1f} images/s; "
            f"requests {len(times)}, first {times[0] * 1e3:.1f} ms, "
            f"median {np.median(times) * 1e3:.1f} ms"
        )
    missing = len(args.images) - answered
    if missing:
        _complain(f"{missing} of {len(args.images)} pictures have no answer")
    return 1 if missing else 0


def _read_all(paths: Sequence[str]) -> dict[str, bytes]:
    """Returns the pictures that can be read; names the others."""
    pictures = {}
    for path in paths:
        try:
            pictures[path] = read_picture(path)
        except OSError as error:
            _complain(f"{path}: {error.strerror}")
        except BadPictureError as error:
            _complain(f"{path}: {error}")
    return pictures


def _predict(transport: Transport, pictures: dict[str, bytes]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the server's answers by picture; names those that it refuses.

    A server may put several clients' pictures into one batch, all of which fails with any of them:
    its message says nothing about who is to blame. So each is asked for alone, twice at most.
    """
    try:
        return _split(transport.predict(list(pictures.values())), list(pictures))
    except RefusedError:
        answers: dict[str, dict[str, np.ndarray]] = {}
        for path, picture in pictures.items():
            try:
                answers |= _split(_persevere(transport, picture), [path])
            except RefusedError as error:
                _complain(f"{path}: the server refused it: {_reason(error)}")
        return answers


def _persevere(transport: Transport, picture: bytes) -> dict[str, np.ndarray]:
    try:
        return transport.predict([picture])
    except RefusedError:
        return transport.predict([picture])


def _split(outputs: dict[str, np.ndarray], paths: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the outputs of each picture.

    Raises:
      RefusedError: there are not as many as pictures.
    """
    if any(len(value) != len(paths) for value in outputs.values()):
        raise RefusedError("it did not answer for each picture")
    return {
        path: {name: value[row] for name, value in outputs.items()}
        for row, path in enumerate(paths)
    }


def _reason(error: RefusedError) -> str:
    """Returns what a server says, without where in the graph, and in whose batch, it happened."""
    message = str(error).split("[[")[0].strip()
    numbered = re.search(r"image \d+ of the request (.*?)\]?$", message)
    return numbered[1] if numbered else message


def _complain(text: str) -> None:
    sys.stdout.flush()  # what was printed before comes before
    print_error(UserError(text))


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
