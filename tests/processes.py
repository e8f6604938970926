"""Runs of the command in processes of their own, and what they leave, for the tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import TINY

ROOT = Path(__file__).parents[1]
CALM = ("--learning_rate=0.02", "--temperature=0.5")
RUN = (sys.executable, "-m", "simclr_tf.run", *TINY)


def start(*command: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
    """Starts a process, all of whose output is read by `communicate()[0]`."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*flags: str) -> str:
    """Runs the command and returns what it printed; fails unless its status is 0."""
    process = start(*RUN, *flags)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def start_workers(count: int, *flags: str) -> list[subprocess.Popen]:
    """Starts the command as so many machines, all of them on this one."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    cluster = {"worker": addresses}
    configs = [json.dumps({"cluster": cluster, "task": task}) for task in tasks]
    return [start(*RUN, *flags, environment={"TF_CONFIG": config}) for config in configs]


def run_workers(count: int, *flags: str) -> list[str]:
    """Does as `start_workers`, waits for the end, and returns what each printed."""
    workers = start_workers(count, *flags)
    outputs = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * count, "\n".join(outputs)
    return outputs


def weights(folder: Path, name: str = "") -> dict[str, np.ndarray]:
    """Returns a checkpoint's values, optimizer and step included; of the newest unless named."""
    reader = tf.train.load_checkpoint(str(folder / name) if name else str(folder))
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
