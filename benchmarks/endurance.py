"""Do memory, open files and time per step stay flat over thousands of steps?

Starts a run of the bundled digits, on one process or as several machines on this one, and looks at
its processes from outside, at each checkpoint. Prints the slope of each line that is fitted after
the first fifth, in which TensorFlow's pools fill, with its 95% interval.

    python benchmarks/endurance.py --steps=5000
    python benchmarks/endurance.py --steps=2000 --workers=2
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

FLAGS = ["--dataset=digits", "--image_size=8", "--resnet_depth=18", "--width_multiplier=0.0625"]
FLAGS += ["--num_proj_layers=2", "--proj_out_dim=8", "--train_batch_size=16", "--warmup_epochs=0"]
FLAGS += ["--learning_rate=0.02", "--temperature=0.5", "--train_summary_steps=100"]
WARM_UP = 0.2  # share of the run


def start(folder: Path, steps: int, every: int, workers: int) -> list[subprocess.Popen]:
    """Starts the run's processes."""
    flags = [*FLAGS, f"--train_steps={steps}", f"--checkpoint_steps={every}"]
    command = [sys.executable, "-m", "simclr_tf.run", *flags, f"--model_dir={folder}"]
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    processes = []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        tf_config = {"TF_CONFIG": json.dumps(task)} if workers > 1 else {}
        with (folder.parent / f"output_{index}").open("w") as output:
            processes.append(
                subprocess.Popen(
                    command, env={**os.environ, **tf_config}, stdout=output, stderr=output
                )
            )
    return processes


def look(process: subprocess.Popen) -> tuple[float, int]:
    """Returns a process's memory in MB and its number of open files."""
    proc = Path("/proc") / str(process.pid)
    pages = int((proc / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(list((proc / "fd").iterdir()))


def newest_step(folder: Path) -> int:
    """Returns the step of the newest checkpoint, 0 without one."""
    names = (path.name for path in folder.iterdir()) if folder.exists() else ()
    return max((int(n[5:-6]) for n in names if re.fullmatch(r"ckpt-\d+\.index", n)), default=0)


def watch(folder: Path, processes: list[subprocess.Popen], steps: int) -> np.ndarray:
    """Returns a row at each checkpoint: step, seconds, and memory and files of each process."""
    rows = []
    last = 0
    while last < steps and all(process.poll() is None for process in processes):
        step = newest_step(folder)
        if step > last:
            seen = [value for process in processes for value in look(process)]
            rows.append([step, time.monotonic(), *seen])
            last = step
        time.sleep(0.005)
    for process in processes:
        assert process.wait() == 0, folder.parent
    return np.array(rows)


def slope(steps: np.ndarray, values: np.ndarray) -> str:
    """Returns the change over 1,000 steps, with its 95% interval, and the mean."""
    line = stats.linregress(steps, values)
    half = stats.t.ppf(0.975, len(steps) - 2) * line.stderr
    low, high = 1000 * (line.slope - half), 1000 * (line.slope + half)
    return f"{values.mean():9.3f}  {1000 * line.slope:+.4f} ({low:+.4f} to {high:+.4f})"


def main() -> None:
    """Runs it, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--every", type=int, default=50, help="steps between looks")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        processes = start(folder, asked.steps, asked.every, asked.workers)
        rows = watch(folder, processes, asked.steps)
    seconds = np.diff(rows[:, 1]) / np.diff(rows[:, 0])
    rows = rows[1:]
    late = rows[:, 0] > WARM_UP * asked.steps
    steps = rows[late, 0]
    print(f"{asked.steps} steps, {asked.workers} processes; mean, change over 1,000 steps (95%)")
    print(f"  ms a step           {slope(steps, 1000 * seconds[late])}")
    for index in range(asked.workers):
        memory, files = rows[late, 2 + 2 * index], rows[late, 3 + 2 * index]
        print(f"  process {index}: MB       {slope(steps, memory)}")
        print(f"  process {index}: files    {files.min():.0f} to {files.max():.0f}")


if __name__ == "__main__":
    main()
