"""What is done about GPUs, with pretended ones. Not run on hardware."""

from __future__ import annotations

import logging
import types

import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.distribution import choose_strategy, gpus

pytestmark = pytest.mark.smoke

GPU = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Sets what a machine has: GPUs that TensorFlow sees, their capability, signs of a driver."""

    def setup(seen=(), capability=(8, 0), driver=False, compiled=("sm_80", "compute_90")):
        devices = {"GPU": list(seen), "CPU": tf.config.list_physical_devices("CPU")}
        details = {"device_name": "Some GPU", "compute_capability": capability}
        sign = tmp_path / "nvidia0"
        if driver:
            sign.touch()
        built = {"cuda_compute_capabilities": list(compiled)}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices[kind])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
        monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: built)
        monkeypatch.setattr(gpus, "_SIGNS", (str(tmp_path / "none"), str(sign)))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return setup


def lines(caplog) -> list[str]:
    with caplog.at_level(logging.INFO, logger="simclr_tf"):
        gpus.warn_of_unusable()
    return [record.getMessage() for record in caplog.records]


def test_memory_grows_on_every_gpu_before_devices_are_made(machine, monkeypatch) -> None:
    machine(seen=GPU)
    calls = []
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, on: calls.append((gpu.name, on))
    )
    made = tf.config.list_logical_devices("CPU")

    def make(kind):
        calls.append(kind)
        return made if kind == "CPU" else []

    monkeypatch.setattr(tf.config, "list_logical_devices", make)
    choose_strategy("one_device")
    grown = [("/physical_device:GPU:0", True), ("/physical_device:GPU:1", True)]
    assert calls[:3] == [*grown, "GPU"]


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_gpus_in_use_or_split_stay_as_they_are(kind, machine, monkeypatch) -> None:
    tried = []

    def refuse(gpu, on):
        tried.append(gpu.name)
        raise kind("too late")

    machine(seen=GPU)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    gpus.grow_memory()
    assert tried == [gpu.name for gpu in GPU]


def test_a_driver_without_a_gpu_that_tensorflow_sees(machine, monkeypatch, caplog) -> None:
    machine(driver=True)
    (told,) = lines(caplog)
    assert "TensorFlow sees none" in told
    assert "pip install '.[gpu]'" in told
    caplog.clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # hidden on purpose
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("capability", "compiled", "warned"),
    [
        ((8, 9), ("sm_80", "compute_90"), 0),
        ((9, 0), ("sm_80", "compute_90"), 0),
        ((12, 0), ("sm_80", "compute_90"), 2),
        ((12, 1), (), 2),
        ((12, 0), ("sm_90", "sm_120a"), 0),
    ],
)
def test_a_gpu_newer_than_tensorflow(capability, compiled, warned, machine, caplog) -> None:
    machine(seen=GPU, capability=capability, compiled=compiled)
    told = lines(caplog)
    assert len(told) == warned
    for line in told:
        assert f"Some GPU has compute capability {capability[0]}.{capability[1]}" in line
        assert "CUDA_VISIBLE_DEVICES=-1" in line


def test_a_machine_without_gpus_says_nothing(machine, caplog) -> None:
    machine()
    assert lines(caplog) == []


def test_memory_of_gpus(machine, monkeypatch) -> None:
    """The most that one has used, and what the smallest has."""
    machine(seen=GPU, capability=(7, 5))
    peaks = {"a": 5, "b": 7}
    made = [tf.config.LogicalDevice(name, "GPU") for name in peaks]
    limits = [types.SimpleNamespace(device_type="CPU", memory_limit=1)]
    limits += [types.SimpleNamespace(device_type="GPU", memory_limit=n) for n in (30, 20)]
    forgotten: list[str] = []
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: made)
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"current": 1, "peak": peaks[name]}
    )
    monkeypatch.setattr(tf.config.experimental, "reset_memory_stats", forgotten.append)
    monkeypatch.setattr(gpus.device_lib, "list_local_devices", lambda: limits)
    gpus.forget_peak()
    assert (forgotten, gpus.peak(), gpus.room()) == (["a", "b"], 7, 20)
    assert gpus.capability() == (7, 5)
