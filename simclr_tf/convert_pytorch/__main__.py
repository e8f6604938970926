"""Makes a checkpoint for `--checkpoint` out of PyTorch weights.

python -m simclr_tf.convert_pytorch --input=FILE --output=FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from simclr_tf import compat
from simclr_tf.arguments import ArgumentParser
from simclr_tf.errors import SettingError, UserError, print_error
from simclr_tf.paths import clean
from simclr_tf.terminal import ending_where_nobody_reads


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status.

    Returns:
      0; 2 for bad input; 130 if stopped by Ctrl-C; 141 if nobody reads what it prints any more.
    """
    try:
        with ending_where_nobody_reads():
            _convert(argv)
    except UserError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return 0


def _convert(argv: Sequence[str] | None) -> None:
    given = _parse(argv)
    # TensorFlow is imported after parsing, so that --help and a bad flag are immediate.
    compat.import_tensorflow()
    from simclr_tf.convert_pytorch.convert import convert

    print(f"{convert(**given)}\nuse it with --checkpoint={clean(given['output'])}")


def _parse(argv: Sequence[str] | None) -> dict[str, Any]:
    """Returns the arguments of `convert` that were given; it knows the others' values itself."""
    parser = ArgumentParser(
        prog="python -m simclr_tf.convert_pytorch",
        description=(__doc__ or "").splitlines()[0],
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--input", required=True, dest="file", help=".safetensors, .pt, .pth or .ckpt file")
    add("--output", required=True, help="folder to make, for --checkpoint")
    add("--drop", type=_prefixes, help="prefixes of tensors to leave out: a,b")
    add("--mean", help="of red, green and blue; the file's, else ImageNet's, 0.485,0.456,0.406")
    add("--std", help="of red, green and blue; the file's, else ImageNet's, 0.229,0.224,0.225")
    add("--image_size", type=int, help="pixels; 224, or 32 with a stem of 3x3")
    add("--stem_padding", type=int, help="pixels, of a 3x3 stem; 1, solo-learn's 2")
    add("--epsilon", type=float, help="of batch normalizations; PyTorch's, 1e-05")
    given = vars(parser.parse_args(argv))
    return given | {name: _numbers(name, given[name]) for name in ("mean", "std") if name in given}


def _prefixes(text: str) -> list[str]:
    return [prefix for prefix in text.split(",") if prefix]


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise SettingError(
            name, text, "must be numbers separated by commas, such as 0.5,0.5,0.5"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
