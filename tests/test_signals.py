"""SIGTERM and Ctrl-C at any moment: one line that says where, and nothing lost."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import long_step, processes
from tests.conftest import TINY

STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}
NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


def stop_when(
    process: processes.Process, begun: Callable[[], bool], *numbers: int, pause: float = 0.0
) -> str:
    """Sends signals once `begun` says so; returns what the process has printed."""
    end = time.monotonic() + 120
    while not begun():
        assert process.returncode is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    for number in numbers:
        process.send_signal(number)
        time.sleep(pause)
    begin = time.monotonic()
    printed = process.communicate()
    assert time.monotonic() - begin < 30
    assert "Traceback" not in printed
    return printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_training_it_saves_first(number, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = [*TINY, "--train_steps=100000", "--checkpoint_steps=5", f"--model_dir={folder}"]
    process = processes.start(*flags)
    printed = stop_when(process, (folder / "ckpt-5.index").exists, number)
    assert process.returncode == STATUS[number]
    assert f"{NAMES[number]}: saves after this step; once more ends at once" in printed
    last = printed.strip().splitlines()[-1]
    found = re.fullmatch(
        rf"stopped by {NAMES[number]}, saved at step ([\d,]+); the same command goes on", last
    )
    assert found, last
    assert (folder / f"ckpt-{found[1].replace(',', '')}.index").exists()
    assert not (folder / "lock.json").exists()


def test_twice_it_ends_at_once_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = [*TINY, "--train_steps=100000", "--checkpoint_steps=5", f"--model_dir={folder}"]
    # The second signal comes in the step that the first waits for.
    process = processes.start(*flags, module="tests.long_step")
    begun = lambda: long_step.WAITS in process.printed()  # noqa: E731
    printed = stop_when(process, begun, signal.SIGINT, signal.SIGINT, pause=0.2)
    assert process.returncode == 130
    assert "saved at step" not in printed


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("index", [0, 1])
def test_while_it_waits_for_other_machines(number, index, tmp_path: Path) -> None:
    task = {"type": "worker", "index": index}
    cluster = {"worker": [free_address(), free_address()]}
    process = processes.start(
        *TINY,
        f"--model_dir={tmp_path / 'run'}",
        TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
    )
    waits = f"worker {index} of 2 at {cluster['worker'][index]}: waits for the others"
    printed = stop_when(process, lambda: waits in process.printed(), number)
    assert process.returncode == STATUS[number]
    last = printed.strip().splitlines()[-1]
    assert last == (
        f"stopped by {NAMES[number]} in --mode=train, before it was done; the same command begins "
        "again"
    )
    assert not (tmp_path / "run").exists()


def test_while_it_exports(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = [*TINY, "--train_steps=2", f"--model_dir={folder}"]
    process = processes.start(*flags)
    printed = stop_when(process, (folder / "serving").exists, signal.SIGTERM)
    assert process.returncode == 143
    last = printed.strip().splitlines()[-1]
    assert last == (
        "stopped by SIGTERM while exporting; the weights are saved at step 2, the same command "
        "exports them"
    )
    assert "SavedModel: " in processes.run(*flags)
    assert len(list((folder / "saved_model").iterdir())) == 1
    # While it waits for checkpoints that never come, or evaluates one.
    process = processes.start("--mode=eval", f"--model_dir={folder}", "--eval_steps=1")
    (folder / "plan.json").write_text('{"train_steps": 100}')
    printed = stop_when(process, (folder / "result.json").exists, signal.SIGINT)
    assert process.returncode == 130
    last = printed.strip().splitlines()[-1]
    assert last == (
        "stopped by Ctrl-C in --mode=eval, before it was done; the same command begins again"
    )


def test_while_it_prepares_data(tmp_path: Path) -> None:
    flags = [*TINY, "--train_steps=1", f"--model_dir={tmp_path / 'run'}"]
    flags += [f"--data_dir={tmp_path / 'data'}"]
    process = processes.start(*flags)
    printed = stop_when(process, (tmp_path / "data").exists, signal.SIGTERM)
    assert process.returncode == 143
    assert "stopped by SIGTERM in --mode=train, before it was done" in printed
    assert "SavedModel: " in processes.run(*flags)
