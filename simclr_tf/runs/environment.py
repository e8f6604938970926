"""environment.json: where, with what and by which command a run was started."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from simclr_tf import files
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.version import __version__

NAME = "environment.json"
_PACKAGES = (
    *("keras", "tf-keras", "keras-cv", "numpy", "scikit-learn"),
    *("tensorflow-addons", "tensorflow-datasets"),
)
_EACH_TIME = {"time", "step"}
_PROCESSORS = "/proc/cpuinfo"


def note_environment(run: PreparedRun, step: int) -> None:
    """Writes where the run is started, behind where it was before.

    A start that differs from the last one in its time and step alone is not noted again.

    Args:
      run: from `prepare`; its folder is there.
      step: that it goes on from.
    """
    path = files.join(run.config.task.model_dir, NAME)
    noted = read_environment(run.config.task.model_dir)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    start = {"time": now, "step": step, **describe_environment(), "replicas": run.plan.replicas}
    if not noted or _lasting(noted[-1]) != _lasting(start):
        files.write_json(path, [*noted, start])


def read_environment(model_dir: str) -> list[dict[str, Any]]:
    """Returns the starts that are noted; none where the file is damaged: it begins anew."""
    with contextlib.suppress(ValueError):
        noted = files.read_json(files.join(model_dir, NAME))
        if isinstance(noted, list) and all(isinstance(start, dict) for start in noted):
            return noted
    return []


def describe_environment() -> dict[str, Any]:
    """Returns versions, devices, machine and command, as environment.json holds them."""
    return {
        "command": shlex.join(sys.orig_argv),
        "versions": _versions(),
        "commit": commit_of(str(Path(__file__).parents[1])),
        "devices": _devices(),
        "processor": _processor(),
        "system": platform.platform(),
    }


@functools.cache
def commit_of(package: str) -> str | None:
    """Returns the commit of a checkout, with `-dirty` behind it if files were changed since.

    None where the package is installed, also if that is inside somebody else's checkout, and where
    there is no git.

    Args:
      package: its folder, on this machine's disk.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", package, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return ended.stdout.strip()

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if git("rev-parse", "--show-prefix") == f"{Path(package).name}/":
            return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return None


def _lasting(start: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in start.items() if name not in _EACH_TIME}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "simclr_tf": __version__}
    found["tensorflow"] = tf.__version__
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _devices() -> list[str]:
    """Returns what may compute: accelerators by their models, CPUs only where there are none."""
    devices = tf.config.list_logical_devices()
    found = [device.device_type for device in devices if device.device_type in ("GPU", "TPU")]
    models = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    if "GPU" in found:
        return [f"GPU: {model}" for model in models]
    return found or ["CPU" for device in devices if device.device_type == "CPU"]


def _processor() -> str:
    """Returns the model of the CPU; its architecture where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(_PROCESSORS).read_text(encoding="utf-8").splitlines()
        return next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    return platform.machine()
