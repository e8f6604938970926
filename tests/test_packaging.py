"""What `pip install .` installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import TINY

ROOT = Path(__file__).parents[1]
NEEDED = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel that pip builds, from a copy: building writes beside the sources."""
    import shutil

    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    source.mkdir()
    for path in (*ROOT.glob("requirements*.txt"), *(ROOT / name for name in NEEDED)):
        shutil.copy(path, source)
    for name in ("simclr_tf", "flags", "tpu", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "setuptools" in done.stderr and "No matching" in done.stderr:
        pytest.skip("no package index in reach, from which pip takes setuptools")
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_simclr_tf_and_nothing_else_of_the_top_level(wheel) -> None:
    names = {Path(name).parts[0] for name in wheel.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"simclr_tf"}
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("simclr_tf/**/*.py")}
    page = {f"simclr_tf/report/report.{kind}" for kind in ("css", "js")}
    assert modules | page | {"simclr_tf/py.typed"} <= set(wheel.namelist())


def test_the_recipes_and_the_command_come_along(wheel) -> None:
    recipes = {f"simclr_tf/recipes/{path.name}" for path in (ROOT / "flags").iterdir()}
    assert {name for name in wheel.namelist() if name.startswith("simclr_tf/recipes")} == recipes
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "simclr_tf = simclr_tf.run:main" in wheel.read(entry).decode()


@pytest.mark.smoke
def test_a_run_of_the_wheel_into_a_log_file(wheel, tmp_path) -> None:
    """Outside a clone, by README's command, without TensorFlow's own messages."""
    wheel.extractall(tmp_path / "site")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = str(tmp_path / "site")

    def run(recipe: str, *flags: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "simclr_tf", f"--flagfile={recipe}", *flags]
        with open(tmp_path / "log", "w") as log:
            done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        return done.returncode, (tmp_path / "log").read_text()

    # The recipe is found: its own temperature is what is refused.
    status, printed = run("flags/quickstart.flags", "--temperature=-1")
    assert status == 2
    assert printed.startswith("error: --temperature=-1")

    folder = tmp_path / "run"
    status, printed = run("quickstart", *TINY, "--train_steps=2", f"--model_dir={folder}")
    assert status == 0, printed
    assert "\r" not in printed
    lines = printed.splitlines()
    first, last = (line for line in lines if re.match(r"\d\d:\d\d:\d\d ", line))
    assert re.fullmatch(r"[\d:]+ step 1/2 \(epoch 0.0\): NT-Xent .* took [\w. ]+", first)
    assert re.fullmatch(r"[\d:]+ step 2/2 \(epoch 0.0\): NT-Xent .* done", last)
    assert lines[0].startswith("digits, train: 10 classes: 0, 1, ")
    assert lines[1].startswith("  task  ")
    end = lines.index(f"SavedModel: {folder}/saved_model/2") + 1
    assert [line.split()[0] for line in lines[end:]] == [
        *("verdict", "over", "took", "curves", "next", "python", "next", "python")
    ]
    known = {first, last, *lines[end:], lines[end - 1]}
    assert all(line.startswith(("  ", "digits, ")) for line in lines if line not in known)


def test_with_the_pins_of_requirements(wheel) -> None:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    installed = {str(Requirement(line)) for line in metadata.get_all("Requires-Dist")}
    pinned = read_pins("requirements.txt")
    assert len(pinned) > 10
    extras = {"onnx": 4, "gpu": 2}
    for extra, count in extras.items():
        lines = read_pins(f"requirements-{extra}.txt")
        assert len(lines) == count
        marked = (line + (" and" if ";" in line else ";") for line in lines)
        pinned |= {f'{line} extra == "{extra}"' for line in marked}
    assert installed == pinned
    assert set(metadata.get_all("Provides-Extra")) == set(extras)
    assert Requirement(f"python{metadata['Requires-Python']}").specifier == ">=3.11,<3.14"


def test_cuda_is_of_the_same_tensorflow() -> None:
    plain = {line for line in read_pins("requirements.txt") if line.startswith("tensorflow==")}
    assert len(plain) == 2
    cuda = read_pins("requirements-gpu.txt")
    assert cuda == {line.replace("tensorflow==", "tensorflow[and-cuda]==") for line in plain}


def read_pins(name: str) -> set[str]:
    lines = (line.split(" #")[0] for line in (ROOT / name).read_text().splitlines())
    return {str(Requirement(line)) for line in lines if line and not line.startswith("#")}
