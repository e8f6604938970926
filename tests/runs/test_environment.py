"""environment.json: every place where a run was started, and nothing twice."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import types
from importlib.metadata import version
from pathlib import Path

import pytest

from simclr_tf import config
from simclr_tf.runs import environment


@pytest.fixture
def start(tmp_path: Path, monkeypatch):
    """Starts a run at a step by a command; returns what is noted by then."""

    def note(step: int, *command: str) -> list[dict]:
        monkeypatch.setattr(sys, "orig_argv", ["python", *command])
        run = types.SimpleNamespace(
            config=config.parse([f"--model_dir={tmp_path}"]),
            plan=types.SimpleNamespace(replicas=2),
        )
        environment.note_environment(run, step)
        return json.loads((tmp_path / environment.NAME).read_text())

    return note


def test_what_is_noted(start) -> None:
    (noted,) = start(0, "-m", "simclr_tf.run", "--dataset=folder:/my pictures")
    assert noted["command"] == "python -m simclr_tf.run '--dataset=folder:/my pictures'"
    assert (noted["step"], noted["replicas"], noted["devices"]) == (0, 2, ["CPU"])
    for name, package in (("numpy", "numpy"), ("keras-cv", "keras-cv"), ("python", None)):
        installed = version(package) if package else platform.python_version()
        assert noted["versions"][name] == installed
    assert noted["versions"]["tensorflow"].startswith("2.")
    assert "keras" in noted["versions"]
    assert noted["processor"] and noted["system"] and noted["time"].endswith("+00:00")


def test_a_run_that_goes_on_elsewhere_is_noted_again(start, monkeypatch) -> None:
    assert len(start(0, "a")) == 1
    assert len(start(5, "a")) == 1, "the same machine and command"
    assert [each["step"] for each in start(7, "b")] == [0, 7]
    monkeypatch.setattr(environment.tf, "__version__", "2.99.0")
    noted = start(9, "b")
    assert [each["versions"]["tensorflow"] == "2.99.0" for each in noted] == [False, False, True]


def test_a_damaged_file_begins_anew(start, tmp_path) -> None:
    for content in ("{", "{}", "[3]", ""):
        (tmp_path / environment.NAME).write_text(content)
        assert len(start(0, "a")) == 1


def test_the_commit_is_that_of_this_package_alone(tmp_path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        return done.stdout.strip()

    package, installed = tmp_path / "simclr_tf", tmp_path / "venv/site-packages/simclr_tf"
    for folder in (package, installed):
        folder.mkdir(parents=True)
    (package / "version.py").write_text("1")
    assert environment.commit_of(str(package)) is None, "no checkout"
    git("init", "-q")
    git("add", "simclr_tf")
    git("commit", "-qm", "one")
    environment.commit_of.cache_clear()
    known = git("rev-parse", "HEAD")
    assert len(known) == 40
    assert environment.commit_of(str(package)) == known
    assert environment.commit_of(str(installed)) is None, "the user's own checkout around it"
    (package / "version.py").write_text("2")
    environment.commit_of.cache_clear()
    assert environment.commit_of(str(package)) == f"{known}-dirty"
