"""The command, whose second step of pre-training takes a minute, and no processor time.

TensorFlow waits for it as it waits for a kernel: Python's main thread cannot act meanwhile.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import tensorflow as tf

from simclr_tf import run
from simclr_tf.losses.nt_xent import NTXentOutput
from simclr_tf.training.simclr import SimCLR

SECONDS = 60.0
WAITS = "the second step waits"


def main() -> int:
    contrast = SimCLR.contrast

    def wait(step: int) -> int:
        if step == 1:
            print(WAITS, flush=True)
            time.sleep(SECONDS)
        return step

    def slow(self: SimCLR, *arguments: Any) -> NTXentOutput:
        found = contrast(self, *arguments)
        waited = tf.numpy_function(wait, [self.optimizer.iterations], tf.int64)
        with tf.control_dependencies([waited]):
            return found._replace(loss=tf.identity(found.loss))

    SimCLR.contrast = slow
    return run.main(sys.argv)
