"""What `pip install .` installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel that pip builds, from a copy: building writes beside the sources."""
    import shutil

    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
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
    assert modules <= set(wheel.namelist())


def test_with_the_pins_of_requirements(wheel) -> None:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    installed = {str(Requirement(line)) for line in metadata.get_all("Requires-Dist")}
    lines = (line.split(" #")[0] for line in (ROOT / "requirements.txt").read_text().splitlines())
    pinned = {str(Requirement(line)) for line in lines if line and not line.startswith("#")}
    assert installed == pinned
    assert len(pinned) > 10
