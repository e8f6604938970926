"""Chooses the tf.distribute strategy for the devices at hand."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.distribution import gpus
from simclr_tf.distribution.tpu import connect_to_tpu
from simclr_tf.distribution.workers import EXAMPLE, Workers, join_workers
from simclr_tf.errors import SettingError


def choose_strategy(
    name: str = "auto",
    *,
    num_virtual_devices: int = 1,
    tpu_name: str | None = None,
    tpu_zone: str | None = None,
    gcp_project: str | None = None,
    master: str | None = None,
    alone: bool = False,
) -> tf.distribute.Strategy:
    """Returns the strategy that is named, or that fits the devices.

    `auto`: MultiWorkerMirroredStrategy where the environment's TF_CONFIG lists machines, else
    MirroredStrategy over all GPUs, or over all logical CPUs if there are several and no GPU, else
    the one device. Call it before TensorFlow runs anything: virtual devices and machines that work
    together can be set up only then.

    Args:
      name: auto, one_device, mirrored, multi_worker or tpu.
      num_virtual_devices: how many logical devices the CPU is split into, where there is no GPU.
      tpu_name: the TPU to connect to; see `connect_to_tpu`.
      tpu_zone: the Google Cloud zone of `tpu_name`, where it is not this machine's.
      gcp_project: the Google Cloud project of `tpu_name`, where it is not this machine's.
      master: the address of a TPU worker, `grpc://host:port`, if there is no `tpu_name`.
      alone: leave aside the machines of TF_CONFIG, as what one machine does by itself must: joining
        them waits for all. multi_worker then means auto.

    Raises:
      UserError: the devices asked for are not there.
    """
    if name == "tpu":
        return connect_to_tpu(tpu_name or master, tpu_zone, gcp_project)
    gpus.grow_memory()
    gpus.warn_of_unusable()
    workers = None if alone else Workers.from_environment()
    if alone and name == "multi_worker":
        name = "auto"
    if name == "multi_worker" and workers is None:
        raise SettingError(
            "strategy",
            name,
            f"finds no TF_CONFIG in the environment, which lists the machines: {EXAMPLE}",
        )
    if workers is not None and name in ("auto", "multi_worker"):
        return join_workers(workers)
    if num_virtual_devices > 1:
        _split_cpu(num_virtual_devices)
    accelerators = tf.config.list_logical_devices("GPU")
    devices = accelerators or tf.config.list_logical_devices("CPU")
    if name == "mirrored" or (name == "auto" and len(devices) > 1):
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if accelerators else "/cpu:0")


def _split_cpu(count: int) -> None:
    if tf.config.list_physical_devices("GPU"):
        raise SettingError(
            "num_virtual_devices",
            count,
            "splits the CPU, but this machine has a GPU, which would be used",
            "remove it, or hide the GPU with CUDA_VISIBLE_DEVICES=-1",
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has run something in this process, on devices as they were
        if len(tf.config.list_logical_devices("CPU")) != count:
            raise SettingError(
                "num_virtual_devices",
                count,
                "must be set before TensorFlow is used",
                "start a new process",
            ) from None
