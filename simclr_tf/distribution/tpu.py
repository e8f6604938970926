"""Connects to a Cloud TPU, or says soon that there is none."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf.errors import SettingError, first_line

# Google's metadata server and TPU workers answer within milliseconds; elsewhere nothing does.
_SECONDS_TO_REACH_TPU = 10.0


def connect_to_tpu(
    name: str | None, zone: str | None, project: str | None
) -> tf.distribute.TPUStrategy:
    """Connects to a TPU and resets it.

    Args:
      name: its name, or the address of a worker, `grpc://host:port`. Without it the environment's
        TPU_NAME, then the TPU of this very machine is taken.
      zone: its Google Cloud zone, where it is not this machine's.
      project: its Google Cloud project, where it is not this machine's.

    Raises:
      SettingError: no TPU answers; within seconds.
    """
    name = name or os.environ.get("TPU_NAME") or "local"
    try:
        with _socket_timeout(_SECONDS_TO_REACH_TPU):
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
                name, zone=zone, project=project
            )
            _check_reachable(resolver.cluster_spec())
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    # TensorFlow, urllib, sockets and the Google API client each raise their own; whichever it is,
    # the user's remedy is the same, and the cause stays attached for a debugger.
    except Exception as error:
        where = "on this machine" if name == "local" else f"at `tpu_name={name}`"
        reason = first_line(error).split(". ")[0][:200]
        raise SettingError(
            "use_tpu",
            None,
            f": no TPU answers {where}",
            "run on a TPU VM, name one with `tpu_name`, `tpu_zone` and `gcp_project`, or leave out "
            f"`use_tpu`. ({reason})",
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _check_reachable(cluster: tf.train.ClusterSpec) -> None:
    """Raises OSError unless every worker accepts a connection.

    TensorFlow itself would retry an address that does not answer for ever.
    """
    for addresses in cluster.as_dict().values():
        for address in addresses:
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=_SECONDS_TO_REACH_TPU).close()


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Bounds the look-ups that TPUClusterResolver makes without a time limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
