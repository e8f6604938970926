"""NVIDIA GPUs: memory as it is needed, and a line where TensorFlow cannot use what is there."""

from __future__ import annotations

import contextlib
import logging
import os

import tensorflow as tf
from tensorflow.python.client import device_lib

_SIGNS = ("/dev/nvidia0", "/proc/driver/nvidia/version")  # of NVIDIA's driver
_TOO_NEW = 12
"""Compute capability from which GPUs fail with what pip's TensorFlow was compiled for: 2.15 ends at
8.0, 2.21 at 9.0. See github.com/tensorflow/tensorflow/issues/89272 and 97387."""

logger = logging.getLogger(__name__)


def grow_memory() -> None:
    """Takes GPU memory as it is needed, not all at once: two processes may then share a GPU.

    Call it before TensorFlow runs anything.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # Where GPUs are in use or split by now, whoever did that has decided.
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)


def warn_of_unusable() -> None:
    """Logs a line if this machine has an NVIDIA GPU that TensorFlow cannot use."""
    gpus = tf.config.list_physical_devices("GPU")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not gpus and not hidden and any(map(tf.io.gfile.exists, _SIGNS)):
        logger.warning(
            "this machine has an NVIDIA GPU, but TensorFlow sees none and computes on the CPU; "
            "pip install '.[gpu]' brings the CUDA libraries"
        )
    for gpu in gpus:
        details = tf.config.experimental.get_device_details(gpu)
        capability = details.get("compute_capability", (0, 0))
        if capability[0] >= _TOO_NEW and not _compiled_for(capability[0]):
            logger.warning(
                "%s has compute capability %d.%d, which TensorFlow %s from pip was not compiled "
                "for, and fails on; CUDA_VISIBLE_DEVICES=-1 computes on the CPU",
                details.get("device_name", gpu.name),
                *capability,
                tf.__version__,
            )


def _compiled_for(major: int) -> bool:
    compiled = tf.sysconfig.get_build_info().get("cuda_compute_capabilities", ())
    return any(int(name.rpartition("_")[2].rstrip("af")) // 10 >= major for name in compiled)


def capability() -> tuple[int, int]:
    """Returns the least compute capability of this machine's GPUs, (0, 0) where one tells none."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return min(each.get("compute_capability", (0, 0)) for each in details)


def forget_peak() -> None:
    """Has `peak` begin anew."""
    for gpu in tf.config.list_logical_devices("GPU"):
        tf.config.experimental.reset_memory_stats(gpu.name)


def peak() -> int:
    """Returns the most bytes that were in use on one of the GPUs since `forget_peak`."""
    gpus = tf.config.list_logical_devices("GPU")
    return max(tf.config.experimental.get_memory_info(gpu.name)["peak"] for gpu in gpus)


def room() -> int:
    """Returns how many bytes TensorFlow may have on the smallest of the GPUs."""
    devices = device_lib.list_local_devices()
    return min(device.memory_limit for device in devices if device.device_type == "GPU")
