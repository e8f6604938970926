"""Drives loader.c: a SavedModel in a process of its own that holds no Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def compile_loader(folder: Path) -> Path | None:
    """Compiles loader.c into `folder` against the installed TensorFlow; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    libraries = Path(tf.sysconfig.get_lib())
    command = [
        *(compiler, "-std=gnu11", "-O1", "-Wall", "-Werror", Path(__file__).with_suffix(".c")),
        *("-o", folder / "loader", "-I", tf.sysconfig.get_include()),
        *(libraries / "libtensorflow_cc.so.2", libraries / "libtensorflow_framework.so.2"),
        f"-Wl,-rpath,{libraries}",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "loader"


class Loader:
    """A SavedModel that answers requests.

    Attributes:
      process: where it lives.
      signatures: their descriptions by name.
      times: milliseconds of each run of the last request.
    """

    def __init__(self, program: Path, folder: Path):
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((folder / "saved_model.pb").read_bytes())
        self.times: list[float] = []
        self.signatures = {
            name: signature
            for name, signature in saved.meta_graphs[0].signature_def.items()
            if not name.startswith("__")
        }
        self.process = subprocess.Popen(
            [program, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def ask(self, signature: str, *words: object, repeats: int = 1) -> dict[str, np.ndarray] | str:
        """Returns a signature's outputs by name, or the message of an error.

        Args:
          signature: its name.
          *words: the input, as loader.c takes it: `strings`, files; or `floats`, file, shape.
          repeats: runs, for timing.
        """
        described = self.signatures[signature]
        (feed,) = described.inputs.values()
        fetches = {info.name: name for name, info in described.outputs.items()}
        request = [str(repeats), feed.name, *map(str, words), "->", *fetches]
        self.process.stdin.write(" ".join(request) + "\n")
        self.process.stdin.flush()
        results = {}
        while line := self.process.stdout.readline().strip():
            kind, _, rest = line.partition(" ")
            if kind == "error":
                assert not self.process.stdout.readline().strip()
                return rest
            if kind == "ms":
                self.times = [float(time) for time in rest.split(" ")]
            else:
                name, shape, *values = rest.split(" ")
                sizes = [int(size) for size in shape.split(",")]
                results[fetches[name]] = np.array(values, np.float32).reshape(sizes)
        assert results, f"ended: {self.process.poll()}, {self.process.stderr.read()}"
        return results

    def close(self) -> None:
        """Ends the process and closes the pipes to it."""
        self.process.kill()
        self.process.communicate()

    def peak_mib(self) -> float:
        """The most memory that the process has held so far (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
