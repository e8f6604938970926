"""Runs of the command in processes of their own, and what they leave, for the tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simclr_tf import paths

ROOT = Path(__file__).parents[1]
CALM = ("--learning_rate=0.02", "--temperature=0.5")


class Nursery:
    """Starts processes that share their imports: see `tests.nursery`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, **order: Any) -> tuple[int, Path]:
        """Returns a process's id and the file that its output goes to."""
        self.count += 1
        output = self.folder / str(self.count)
        self.process.stdin.write(json.dumps({**order, "output": str(output)}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), output

    def close(self) -> None:
        """Ends whatever still runs."""
        self.process.communicate()
        shutil.rmtree(self.folder)


_nursery: Nursery | None = None


def close_nursery() -> None:
    """Ends it, if anybody has needed one."""
    global _nursery
    if _nursery is not None:
        _nursery.close()
    _nursery = None


class Process:
    """A process of the nursery, with what tests use of `subprocess.Popen`."""

    def __init__(self, module: str, flags: tuple[str, ...], environment: dict[str, str]) -> None:
        global _nursery
        _nursery = _nursery or Nursery()
        self._server = _nursery.process
        self.pid, self._output = _nursery.start(module=module, flags=flags, environment=environment)

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        status = Path(f"{self._output}.status")
        if status.exists():
            return int(status.read_text())
        assert self._server.poll() is None, "the nursery has ended"
        return None

    def communicate(self, timeout: float = 600) -> str:
        """Waits for the end, and returns what it printed, errors too."""
        begin = time.monotonic()
        while self.returncode is None:
            assert time.monotonic() - begin < timeout, self._output.read_text()
            time.sleep(0.02)
        return self._output.read_text()

    def printed(self) -> str:
        """Returns what it has printed so far."""
        return self._output.read_text() if self._output.exists() else ""

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(*flags: str, module: str = "simclr_tf.run", **environment: str) -> Process:
    """Starts the command, or another module's `main`, in a process of its own.

    Args:
      *flags: arguments.
      module: whose `main`.
      **environment: variables to set.
    """
    return Process(module, flags, environment)


def run(*flags: str, module: str = "simclr_tf.run") -> str:
    """Runs the command, or another module's `main`, and returns what it printed.

    Fails unless its status is 0. `tests.bare` is the command without what takes half of its time.
    """
    process = start(*flags, module=module)
    output = process.communicate()
    assert process.returncode == 0, output
    return output


def start_workers(count: int, *flags: str, module: str = "simclr_tf.run") -> list[Process]:
    """Starts the command, or another module's, as so many machines, all of them on this one."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    cluster = {"worker": addresses}
    configs = [json.dumps({"cluster": cluster, "task": task}) for task in tasks]
    return [start(*flags, module=module, TF_CONFIG=config) for config in configs]


def run_workers(count: int, *flags: str, module: str = "simclr_tf.run") -> list[str]:
    """Does as `start_workers`, waits for the end, and returns what each printed."""
    workers = start_workers(count, *flags, module=module)
    outputs = [worker.communicate() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * count, "\n".join(outputs)
    return outputs


def weights(folder: Path, name: str = "") -> dict[str, np.ndarray]:
    """Returns a checkpoint's values, optimizer and step included; of the newest unless named."""
    path = paths.readable(str(folder))
    reader = tf.train.load_checkpoint(f"{path}/{name}" if name else path)
    keys = reader.get_variable_to_shape_map()
    return {
        key: reader.get_tensor(key)
        for key in keys
        if key.endswith("VARIABLE_VALUE") and "save_counter" not in key
    }


def assert_close(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """Compares weights after a few steps of devices that add up in another order.

    Give `CALM` to the runs: in a tiny network whose losses and steps are large, that order alone
    changes weights by percents within ten steps.
    """
    assert first.keys() == second.keys()
    assert first
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], rtol=1e-5, atol=1e-5, err_msg=name)


def losses(folder: Path) -> list[float]:
    """Returns the loss of each summary."""
    events = EventAccumulator(str(folder / "train"), size_guidance={"tensors": 0}).Reload()
    return [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors("train/total_loss")]


def keep_until(folder: Path, target: Path, step: int) -> None:
    """Copies a run as it was after `step`."""
    target.mkdir()
    for file in [*folder.glob(f"ckpt-{step}.*"), *folder.glob("*.json")]:
        (target / file.name).write_bytes(file.read_bytes())
    (target / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{step}"')
