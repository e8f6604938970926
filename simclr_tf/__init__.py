"""SimCLR for TensorFlow: pre-train image encoders without labels, measure them, serve them.

Papers: v1 https://arxiv.org/abs/2002.05709, v2 https://arxiv.org/abs/2006.10029.
"""

from simclr_tf import compat
from simclr_tf.version import __version__

__all__ = ["__version__"]

compat.choose_keras()
