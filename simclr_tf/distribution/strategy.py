"""Chooses the tf.distribute strategy for the devices at hand."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf.errors import UserError

# Google's metadata server and TPU workers answer within milliseconds; elsewhere nothing does.
_SECONDS_TO_REACH_TPU = 10.0


def choose_strategy(
    *,
    use_tpu: bool,
    tpu_name: str | None = None,
    tpu_zone: str | None = None,
    gcp_project: str | None = None,
    master: str | None = None,
) -> tf.distribute.Strategy:
    """Returns the strategy that uses every accelerator of this machine, or the TPU asked for.

    Without `use_tpu`: MirroredStrategy over all GPUs if there are several, the one GPU if there is
    one, MirroredStrategy over the logical CPUs if there are several (how tests stand in for GPUs),
    else the CPU.

    Args:
      use_tpu: train on a TPU. On a TPU VM nothing else is needed.
      tpu_name: the TPU to connect to. Without it `master`, then the environment's TPU_NAME, then
        the TPU of this very machine is taken.
      tpu_zone: the Google Cloud zone of `tpu_name`, where it is not this machine's.
      gcp_project: the Google Cloud project of `tpu_name`, where it is not this machine's.
      master: the address of a TPU worker, `grpc://host:port`.

    Raises:
      UserError: `use_tpu` is set and no TPU answers.
    """
    if use_tpu:
        return _connect_to_tpu(tpu_name or master, tpu_zone, gcp_project)
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def _connect_to_tpu(
    name: str | None, zone: str | None, project: str | None
) -> tf.distribute.TPUStrategy:
    """Connects to a TPU and resets it, or raises a UserError soon."""
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
        where = "on this machine" if name == "local" else f"at --tpu_name={name}"
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = first_line.split(". ")[0][:200]
        raise UserError(
            f"--use_tpu: no TPU answers {where}; run on a TPU VM, name one with --tpu_name, "
            f"--tpu_zone and --gcp_project, or leave out --use_tpu. ({reason})"
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
