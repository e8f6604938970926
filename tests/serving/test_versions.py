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
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "variables").mkdir()
    for name in ("saved_model.pb", "variables/variables.index"):
        (folder / name).write_text("model")
        os.utime(folder / name, (time.time() - age,) * 2)


def publish(tmp_path: Path, step: int, keep: int = 0) -> str:
    base = tmp_path / "base"
    target = versions.publish(
        lambda folder: write(Path(folder)), {"step": step}, str(base), step=step, keep=keep
    )
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
        versions.publish(fail, {}, str(tmp_path / "base"), step=2, keep=1)
    assert list(tmp_path.iterdir()) == [tmp_path / "base"]
    assert versions.list_versions(str(tmp_path / "base")) == [1]


@pytest.fixture
def cloud(monkeypatch) -> list[str]:
    """Folders cannot be renamed. Returns the files below `base/` as they are written."""
    copied: list[str] = []
    copy = tf.io.gfile.copy

    def noted(source: str, target: str) -> None:
        copied.append(target.partition("/base/")[2])
        copy(source, target)

    monkeypatch.setattr(files, "renames_folders", lambda path: False)
    monkeypatch.setattr(tf.io.gfile, "copy", noted)
    return copied


def test_where_folders_cannot_be_renamed_it_is_written_in_place(tmp_path, cloud) -> None:
    write(tmp_path / "base/1", age=1000)
    write(tmp_path / "base/2", age=1000)
    assert publish(tmp_path, 2, keep=1) == "3"
    assert versions.list_versions(str(tmp_path / "base")) == [2, 3]
    assert cloud == [
        *("3/variables/variables.index", "3/saved_model.pb", "3/assets.extra/simclr.json")
    ]


@pytest.mark.parametrize("copies", range(3))
def test_an_interrupted_export_is_made_again(tmp_path, cloud, monkeypatch, copies) -> None:
    """Killed after so many files: nothing of it is taken for a version that is done."""
    base = str(tmp_path / "base")
    through = tf.io.gfile.copy

    def die(source: str, target: str) -> None:
        if len(cloud) == copies:
            raise KeyboardInterrupt
        through(source, target)

    with monkeypatch.context() as killed:
        killed.setattr(tf.io.gfile, "copy", die)
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path, 5)
    assert versions.newest_is(base, {"step": 5}) is None
    cloud.clear()
    assert publish(tmp_path, 5) == "6"
    assert versions.newest_is(base, {"step": 5}) == f"{base}/6"
    assert versions.list_versions(base) == ([5, 6] if copies else [6])
    for path in (tmp_path / "base").rglob("*"):
        os.utime(path, (time.time() - 2 * versions.SECONDS_TO_WRITE,) * 2)
    publish(tmp_path, 7)
    # One that has its model is served, and goes in its turn.
    assert versions.list_versions(base) == ([5, 6, 7] if copies == 2 else [6, 7])


@pytest.mark.parametrize(
    "damage",
    [
        lambda version: (version / "saved_model.pb").unlink(),
        lambda version: (version / "variables/variables.index").write_text("modem"),
        lambda version: (version / "assets.extra/simclr.json").write_text('{"step": 5}'),
        lambda version: (version / "assets.extra/simclr.json").write_text('{"files": {'),
    ],
    ids=["gone", "damaged", "unlisted", "cut short"],
)
def test_a_version_that_is_not_whole_is_not_done(tmp_path, damage) -> None:
    base = str(tmp_path / "base")
    assert publish(tmp_path, 5) == "5"
    assert versions.newest_is(base, {"step": 5}) == f"{base}/5"
    assert versions.newest_is(base, {"step": 6}) is None
    damage(tmp_path / "base/5")
    assert versions.newest_is(base, {"step": 5}) is None


def test_what_a_check_refuses_is_not_published(tmp_path) -> None:
    def refuse(folder: str) -> None:
        assert (Path(folder) / "assets.extra/simclr.json").exists()
        raise ValueError("differs")

    publish(tmp_path, 1)
    with pytest.raises(ValueError, match="differs"):
        versions.publish(
            lambda folder: write(Path(folder)),
            *({}, str(tmp_path / "base")),
            step=2,
            keep=1,
            check=refuse,
        )
    assert versions.list_versions(str(tmp_path / "base")) == [1]
    assert list(tmp_path.iterdir()) == [tmp_path / "base"]


def test_what_is_read_is_compared_with_what_was_written(tmp_path, cloud, monkeypatch) -> None:
    copy = tf.io.gfile.copy

    def damage(source: str, target: str) -> None:
        copy(source, target)
        if target.endswith(".index"):
            Path(target).write_text("modem")

    monkeypatch.setattr(tf.io.gfile, "copy", damage)
    with pytest.raises(OSError, match="what was written is not what is read"):
        publish(tmp_path, 5)
    assert versions.newest_is(str(tmp_path / "base"), {"step": 5}) is None


def test_left_over_folders_go_after_an_hour(tmp_path) -> None:
    """What another exporter is writing stays, and so does what only looks like it."""
    old = 2 * versions.SECONDS_TO_WRITE
    left, young = (f"base_{letter * 32}.tmp" for letter in "ab")
    for name, age in ((left, old), (young, 60), ("base_notes.tmp", old), (f"x{left}", old)):
        write(tmp_path / name, age)
    versions.publish(lambda folder: write(Path(folder)), {}, str(tmp_path / "base"), step=1, keep=0)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"base", young, "base_notes.tmp", f"x{left}"}


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

        versions.publish(copy, {}, str(base), step=step, keep=1)

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
