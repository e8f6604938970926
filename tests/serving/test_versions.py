"""Versions as a server sees them: whole, in order, and never gone while it may be loading."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import tensorflow as tf

from simclr_tf import files
from simclr_tf.serving import versions

LOADS = 200


def write(folder: Path, age: float = 0) -> None:
    """What passes for a SavedModel."""
    folder.mkdir(parents=True)
    model = folder / "saved_model.pb"
    model.write_text("model")
    os.utime(model, (time.time() - age,) * 2)


def publish(tmp_path: Path, step: int, keep: int = 0) -> str:
    base = tmp_path / "base"
    target = versions.publish(lambda folder: write(Path(folder)), str(base), step=step, keep=keep)
    assert list(tmp_path.iterdir()) == [base]
    assert (Path(target) / "saved_model.pb").read_text() == "model"
    return Path(target).name


def test_the_step_is_the_version_unless_a_server_would_not_notice(tmp_path) -> None:
    assert publish(tmp_path, 0) == "0"
    assert publish(tmp_path, 90) == "90"
    assert publish(tmp_path, 100) == "100"
    assert publish(tmp_path, 100) == "101"
    assert publish(tmp_path, 90) == "102"
    assert publish(tmp_path, 200) == "200"
    assert versions.list_versions(str(tmp_path / "base")) == [0, 90, 100, 101, 102, 200]


def test_what_is_no_version_is_left_alone(tmp_path) -> None:
    write(tmp_path / "base/1", age=1000)
    write(tmp_path / "base/2", age=1000)
    (tmp_path / "base/notes").mkdir()
    (tmp_path / "base/-3").mkdir()
    assert publish(tmp_path, 3, keep=1) == "3"
    assert {path.name for path in (tmp_path / "base").iterdir()} == {"2", "3", "notes", "-3"}


@pytest.mark.parametrize(
    ("keep", "left"), [(0, "1234567"), (1, "67"), (2, "67"), (3, "567"), (9, "1234567")]
)
def test_old_versions_go_once_their_successor_is_a_minute_old(tmp_path, keep, left) -> None:
    for version in range(1, 7):
        write(tmp_path / f"base/{version}", age=100 * (7 - version))
    publish(tmp_path, 7, keep)  # 6 was the newest until now
    assert versions.list_versions(str(tmp_path / "base")) == [int(number) for number in left]


def test_what_cannot_be_written_leaves_nothing(tmp_path) -> None:
    def fail(folder: str) -> None:
        Path(folder).mkdir()
        (Path(folder) / "variables").write_text("half")
        raise OSError("no space left")

    publish(tmp_path, 1)
    with pytest.raises(OSError, match="no space"):
        versions.publish(fail, str(tmp_path / "base"), step=2, keep=1)
    assert list(tmp_path.iterdir()) == [tmp_path / "base"]
    assert versions.list_versions(str(tmp_path / "base")) == [1]


def test_where_folders_cannot_be_renamed_it_is_written_in_place(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files, "renames_folders", lambda path: False)
    monkeypatch.setattr(tf.io.gfile, "rename", None)
    write(tmp_path / "base/1", age=1000)
    write(tmp_path / "base/2", age=1000)
    assert publish(tmp_path, 2, keep=1) == "3"
    assert versions.list_versions(str(tmp_path / "base")) == [2, 3]


@pytest.fixture
def small(tmp_path) -> Path:
    """A SavedModel that is loaded in a fortieth of a second."""
    module = tf.Module()
    module.layers = [tf.Variable(tf.random.normal([64, 64])) for _ in range(16)]

    @tf.function(input_signature=[tf.TensorSpec([None, 64])])
    def embed(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": functools.reduce(tf.matmul, module.layers, images)}

    module.embed = embed
    tf.saved_model.save(module, str(tmp_path / "small"), signatures={"embed": embed})
    return tmp_path / "small"


def test_a_reader_never_fails(small, program, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(versions, "SECONDS_TO_LOAD", 2)  # one load takes 25 ms
    base = tmp_path / "base"

    def publish_copy(step: int) -> None:
        def copy(folder: str) -> None:
            shutil.copytree(small, folder)
            os.utime(Path(folder) / "saved_model.pb")

        versions.publish(copy, str(base), step=step, keep=1)

    publish_copy(1)
    reader = subprocess.Popen(
        [program, "--newest", base, str(LOADS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    step = 1
    while reader.poll() is None:
        step += 1
        publish_copy(step)
        time.sleep(0.1)
    output, errors = reader.communicate()
    loaded = [int(line) for line in output.splitlines()]
    assert reader.returncode == 0, errors
    assert len(loaded) == LOADS
    assert loaded == sorted(loaded)
    assert len(set(loaded)) > 10
    left = versions.list_versions(str(base))
    assert left[-1] == step
    assert left[0] > 1  # removal was going on meanwhile
