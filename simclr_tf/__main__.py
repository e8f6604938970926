"""`python -m simclr_tf`, the same as `python -m simclr_tf.run` and the command `simclr_tf`."""

import sys

from simclr_tf.run import main

if __name__ == "__main__":
    sys.exit(main())
