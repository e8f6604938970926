"""One process trains in a folder: the lock of a living one holds, that of a dead one does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import RunFailed, SettingError
from simclr_tf.runs import lock


@pytest.fixture(autouse=True)
def hurried(monkeypatch) -> None:
    """A twentieth of the times."""
    monkeypatch.setattr(lock, "SECONDS_BETWEEN_BEATS", 0.5)
    monkeypatch.setattr(lock, "SECONDS_WATCHED", 1.75)
    monkeypatch.setattr(lock, "_SECONDS_TO_SETTLE", 0.1)


def read(folder: Path | str) -> dict | None:
    return files.read_json(files.join(str(folder), lock.FILE_NAME))


def left_by(folder: Path, **changes: object) -> dict:
    """A lock file as another process leaves it."""
    with lock.holding(str(folder)):
        content = {**read(folder), "token": "another", **changes}
    files.write_json(files.join(str(folder), lock.FILE_NAME), content)
    return content


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def take(folder: Path) -> float:
    """Takes and gives back the lock; returns how long that took, in seconds."""
    begin = time.monotonic()
    with lock.holding(str(folder)) as held:
        assert read(folder)["process"] == os.getpid()
        held.check()
    assert read(folder) is None
    return time.monotonic() - begin


def test_it_names_the_holder_and_beats(tmp_path: Path) -> None:
    with lock.holding(str(tmp_path / "new")):
        first = read(tmp_path / "new")
        time.sleep(1.2)
        second = read(tmp_path / "new")
    assert first["process"] == os.getpid()
    assert first["host"] and first["since"]
    assert second["beats"] > first["beats"]
    assert not (tmp_path / "new").exists()  # nothing else was written there


def test_of_a_living_process_it_holds(tmp_path: Path) -> None:
    code = (
        "import time; from simclr_tf.runs import lock; lock.SECONDS_BETWEEN_BEATS = 0.5\n"
        f"with lock.holding({str(tmp_path)!r}): time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    while read(tmp_path) is None:
        time.sleep(0.05)
    try:
        with pytest.raises(SettingError, match=f"in use by process {process.pid} on .* since 20"):
            take(tmp_path)
    finally:
        process.kill()
        process.wait()
    assert take(tmp_path) < 1  # of a dead one of this machine


@pytest.mark.parametrize("whose", ["dead", "own_number"])
def test_of_a_dead_process_of_this_machine_it_is_taken_at_once(whose, tmp_path: Path) -> None:
    left_by(tmp_path, process=dead_process() if whose == "dead" else os.getpid())
    assert take(tmp_path) < 1


@pytest.mark.parametrize("since", ["1999-01-01 00:00:00 +0000", "2999-01-01 00:00:00 +0000"])
def test_of_another_machine_it_goes_stale_whatever_the_clocks_say(since, tmp_path: Path) -> None:
    """A clock set back, or ahead, changes nothing: what counts is that the file does not change."""
    left_by(tmp_path, host="elsewhere", process=1, since=since)
    assert 1.5 < take(tmp_path) < 5


def test_of_another_machine_that_beats_it_holds(tmp_path: Path) -> None:
    content = left_by(tmp_path, host="elsewhere", process=1)
    path, ended = str(tmp_path / lock.FILE_NAME), threading.Event()

    def beat() -> None:
        while not ended.wait(0.5):
            content["beats"] += 1
            files.write_json(path, content)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(SettingError, match="process 1 on elsewhere"):
            take(tmp_path)
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_one_goes_stale(content, tmp_path: Path) -> None:
    (tmp_path / lock.FILE_NAME).write_text(content)
    assert take(tmp_path) > 1.5


@pytest.mark.parametrize("base", ["local", "ram"])
def test_of_several_that_begin_at_once_one_trains(base, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "_is_gone", lambda holder: False)  # threads, as if of four machines
    folder = str(tmp_path) if base == "local" else f"ram://{uuid.uuid4().hex}"
    entered, refused, barrier = [], [], threading.Barrier(4)

    def begin(name: int) -> None:
        barrier.wait()
        try:
            with lock.holding(folder):
                entered.append(name)
                time.sleep(4)
        except SettingError:
            refused.append(name)

    threads = [threading.Thread(target=begin, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(entered), len(refused)) == (1, 3)
    assert not tf.io.gfile.exists(files.join(folder, lock.FILE_NAME))


def test_who_was_taken_over_writes_no_more(tmp_path: Path) -> None:
    """As a laptop that slept while another machine took the run over."""
    with lock.holding(str(tmp_path)) as held:
        held.check()
        other = {**read(tmp_path), "token": "another", "host": "elsewhere", "process": 7}
        files.write_json(str(tmp_path / lock.FILE_NAME), other)
        with pytest.raises(RunFailed, match="taken over by process 7 on elsewhere"):
            held.check()
        time.sleep(0.7)
    assert read(tmp_path) == other  # and leaves the lock to whom it belongs
    assert json.loads((tmp_path / lock.FILE_NAME).read_text()) == other


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SettingError, match="`model_dir=.*cannot be written"),
        lock.holding(str(tmp_path / "file" / "run")),
    ):
        pass
