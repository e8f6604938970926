"""The command `python -m simclr_tf.convert_pytorch`, without TensorFlow's start-up lines."""

from __future__ import annotations

import sys

from simclr_tf import compat


def main() -> int:
    """Runs the command line and returns its exit status."""
    compat.import_tensorflow()
    from simclr_tf.convert_pytorch import convert

    return convert_pytorch.main()


if __name__ == "__main__":
    sys.exit(main())
