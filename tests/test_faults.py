"""What a run meets in its weeks: a full disk, a folder that cannot be written, a loss of no number.

Each ends in one line and a status of its own, keeps what was good, and the same command goes on.
"""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.checkpoints import numbered
from simclr_tf.checkpoints.reader import check_whole
from simclr_tf.losses.nt_xent import NTXentOutput
from simclr_tf.training import simclr
from tests import processes

SAVING = ["--checkpoint_steps=1", "--train_steps=8", "--keep_checkpoint_max=0"]


@pytest.fixture(scope="module")
def undisturbed(run_here, tmp_path_factory) -> Path:
    from tests.conftest import TINY

    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run_here(*TINY, *SAVING, f"--model_dir={folder}", export=False) == 0
    return folder


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Gives a disk of its own, and later changes it: `mount("size=1m")`, `mount("ro")`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def call(options: str) -> Path:
        how = ["-o", f"remount,{options}"] if mounted else ["-t", "tmpfs", "-o", options, "tmpfs"]
        done = subprocess.run(
            ["mount", *how, str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")
        mounted.append(options)
        return folder

    yield call
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def error_line(printed: str) -> str:
    (line,) = (line for line in printed.splitlines() if line.startswith("error: "))
    return line


def assert_goes_on(run, capsys, folder: Path, undisturbed: Path, step: int) -> None:
    assert run(*SAVING, f"--model_dir={folder}", export=False) == 0
    assert f"continues from step {step}\n" in capsys.readouterr().out
    first, second = processes.weights(undisturbed), processes.weights(folder)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_a_full_disk(run, mount, undisturbed: Path, capsys) -> None:
    folder = mount("size=1800k") / "run"
    assert run(*SAVING, f"--model_dir={folder}") == 70
    line = error_line(capsys.readouterr().err)
    assert "No space left on device" in line
    assert "make room or mend the folder, and the same command goes on" in line
    steps = numbered.list_steps(str(folder))
    assert 1 <= len(steps) < 8
    assert f"the last good checkpoint is {folder}/ckpt-{steps[-1]};" in line
    check_whole(str(folder / f"ckpt-{steps[-1]}"))
    names = {path.name for path in folder.iterdir()}
    assert {n for n in names if n.startswith("ckpt-")} == {
        f"ckpt-{step}.{kind}" for step in steps for kind in ("index", "data-00000-of-00001")
    }
    assert not {n for n in names if "tmp" in n or "lock" in n}
    mount("size=20m")
    assert_goes_on(run, capsys, folder, undisturbed, steps[-1])


def test_a_limit_of_file_sizes(run, undisturbed: Path, tmp_path: Path, capsys) -> None:
    """Its error is one that Keras takes for the end of the data, and then all seems well."""
    processes.keep_until(undisturbed, tmp_path / "run", step=3)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert run(*SAVING, f"--model_dir={tmp_path / 'run'}") == 70
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    line = error_line(capsys.readouterr().err)
    assert re.search(r"saving step 4 failed \(.*File too large\)", line), line
    assert not (tmp_path / "run" / "saved_model").exists()
    assert numbered.list_steps(str(tmp_path / "run")) == [3]
    assert_goes_on(run, capsys, tmp_path / "run", undisturbed, 3)


def test_a_folder_that_cannot_be_written(run, mount, undisturbed: Path, capsys) -> None:
    folder = mount("size=20m") / "run"
    processes.keep_until(undisturbed, folder, step=3)
    mount("ro")
    ways = [
        [*SAVING, f"--model_dir={folder}"],
        ["--mode=eval", f"--model_dir={folder}"],
        ["--mode=probe", f"--checkpoint={undisturbed}", f"--model_dir={folder.parent}/probe"],
        ["--mode=export", f"--checkpoint={undisturbed}", f"--model_dir={folder.parent}/export"],
        ["--mode=show_views", f"--model_dir={folder.parent}/views"],
    ]
    for flags in ways:
        assert run(*flags) == 2, flags
        line = error_line(capsys.readouterr().err)
        assert "cannot be written" in line
        assert "Read-only file system" in line
        assert "--model_dir=" in line


def test_a_path_that_is_a_file(run, undisturbed: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for mode in ("train", "probe", "export", "show_views", "eval"):
        flags = [f"--mode={mode}", f"--model_dir={tmp_path / 'file'}"]
        if mode in ("probe", "export"):
            flags.append(f"--checkpoint={undisturbed}")
        assert run(*flags) == 2, mode
        assert f"--model_dir={tmp_path / 'file'} is a file" in error_line(capsys.readouterr().err)


def test_data_that_end_early_are_no_success(run, tmp_path: Path, capsys, monkeypatch) -> None:
    """Whatever made Keras believe it."""
    from simclr_tf.training.summaries import Summaries

    def end(self: Summaries, step: int) -> None:
        raise tf.errors.OutOfRangeError(None, None, "File too large")

    monkeypatch.setattr(Summaries, "act", end)
    flags = ["--checkpoint_steps=5", "--train_steps=5", f"--model_dir={tmp_path}"]
    assert run(*flags) == 70
    line = error_line(capsys.readouterr().err)
    assert "training ended at step 1 of 5, because a file could not be written or the data" in line
    assert not (tmp_path / "saved_model").exists()


def test_out_of_memory_names_the_batch(run, tmp_path: Path, capsys, monkeypatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape")

    monkeypatch.setattr(simclr.SimCLR, "fit", fail)
    assert run("--train_steps=5", f"--model_dir={tmp_path}") == 70
    line = error_line(capsys.readouterr().err)
    assert (
        "--train_batch_size=16 needs more memory than there is; give --micro_batch_size=8 or "
        "--train_batch_size=8" in line
    )


@pytest.fixture
def breaks_at(monkeypatch) -> Callable[..., None]:
    """Makes the loss of some steps infinite."""

    def call(*steps: int) -> None:
        def broken(self: simclr.SimCLR, *arguments: Any) -> NTXentOutput:
            found = contrast(self, *arguments)
            now = tf.cast(self.optimizer.iterations, tf.int32) + 1
            factor = tf.where(tf.reduce_any(now == tf.constant(steps)), np.inf, 1.0)
            return found._replace(loss=found.loss * factor)

        monkeypatch.setattr(simclr.SimCLR, "contrast", broken)

    contrast = simclr.SimCLR.contrast
    return call


def test_a_run_that_diverges_keeps_its_good_checkpoints(
    run, undisturbed: Path, tmp_path: Path, capsys, breaks_at
) -> None:
    breaks_at(6)
    flags = ["--checkpoint_steps=2", "--train_steps=8", "--keep_checkpoint_max=1"]
    flags += ["--train_summary_steps=100", "--steps_per_loop=1", f"--model_dir={tmp_path}"]
    for _ in range(2):  # and once more from the good one
        assert run(*flags) == 70
        line = error_line(capsys.readouterr().err)
        assert line.startswith("error: the loss at step 6 is no number; nothing was saved of it, ")
        assert f"the last good checkpoint is {tmp_path}/ckpt-4. Most likely the learning" in line
        rate = float(line.partition("too high, ")[2].partition(" ")[0])
        assert rate == pytest.approx(0.1 * 16 / 256 * (1 + np.cos(np.pi * 5 / 8)) / 2, rel=1e-2)
        assert numbered.list_steps(str(tmp_path)) == [4]
        check_whole(str(tmp_path / "ckpt-4"))
    first, second = (processes.weights(f, "ckpt-4") for f in (undisturbed, tmp_path))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    # The command that the message prints makes the batch of that step again.
    command = line.partition("The pictures of that step: ")[2].split()
    assert run(*command, tiny=False) == 0
    printed = capsys.readouterr().out
    assert "step 6: 16 images, pixels of their views 0.000 to " in printed
    assert "none with values that are no numbers" in printed
    assert (tmp_path / "views.png").exists()


def test_skipping_goes_on_and_says_how_often(run, tmp_path: Path, capsys, breaks_at) -> None:
    breaks_at(3, 6)
    flags = ["--on_nonfinite=skip", "--train_steps=8", f"--model_dir={tmp_path}"]
    assert run(*flags, export=False) == 0
    assert "2 steps left out, whose loss or weights were no numbers" in capsys.readouterr().out
    assert np.isfinite(processes.losses(tmp_path)).all()
    check_whole(str(tmp_path / "ckpt-8"))


def test_skipping_gives_up_after_ten_in_a_row(run, tmp_path: Path, capsys, breaks_at) -> None:
    breaks_at(2, *range(4, 30))
    flags = ["--on_nonfinite=skip", "--train_steps=40", f"--model_dir={tmp_path}"]
    assert run(*flags, "--checkpoint_steps=8", "--steps_per_loop=1") == 70
    line = error_line(capsys.readouterr().err)
    assert "10 steps in a row, the last of them 13, give no number" in line
    assert f"the last good checkpoint is {tmp_path}/ckpt-8." in line
