"""Several machines, all on this one: what they compute, and what becomes of them."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import data
from tests import processes
from tests.conftest import TINY

COMMON = [*TINY, "--mode=train_then_eval", "--train_steps=20", "--checkpoint_steps=5"]
COMMON += ["--train_summary_steps=1", "--keep_checkpoint_max=0", "--weight_decay=1e-3"]
COMMON += processes.CALM
SECONDS_TO_NOTICE = 60


@pytest.fixture
def run_merged(run_here, monkeypatch) -> Callable[..., None]:
    """Trains on one device, on the batches that several workers would have had between them.

    Machines read shares of the data of their own, so that a batch of theirs differs from one that
    a single machine would read.
    """
    input_fn_of_one = data.train_input_fn

    def call(count: int, *flags: str) -> None:
        def input_fn_of_all(*args, **kwargs):
            input_fn = input_fn_of_one(*args, **kwargs)

            def merged(_):
                shares = [
                    input_fn(tf.distribute.InputContext(count, index, count))
                    for index in range(count)
                ]
                return tf.data.Dataset.zip(tuple(shares)).map(
                    lambda *batches: tf.nest.map_structure(lambda *x: tf.concat(x, 0), *batches)
                )

            return merged

        monkeypatch.setattr(data, "train_input_fn", input_fn_of_all)
        assert run_here(*flags, export=False) == 0

    return call


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    """A run on two workers that nothing disturbed."""
    folder = tmp_path_factory.mktemp("two") / "run"
    knn = "--knn_every_epochs=1"
    chief, other = processes.run_workers(2, *COMMON, knn, f"--model_dir={folder}")
    assert "kNN while pre-training: not on several machines or TPUs; left out" in chief
    (shown,) = re.findall(r"step 20/20.* NT-Xent ([\d.]+)", chief)
    assert float(shown) == pytest.approx(mean_of_last(folder, chief), abs=1e-3)
    assert "MultiWorkerMirrored on CPU, 2 workers, 2 x 8 images a step" in chief
    assert "step 20, test (355 images)" in chief
    meets, reads, *progress = other.splitlines()
    assert meets.startswith("worker 1 of 2 at 127.0.0.1:")
    assert reads.startswith("worker 1 of 2: trains on its share of digits, train, 8 of 16 images a")
    steps = [re.search(r" worker 1 of 2, step (\d+)/20 .* NT-Xent ", line) for line in progress]
    assert [int(found[1]) for found in steps if found] == [1, 2, 20]
    assert len(progress) == 3
    return folder


def mean_of_last(folder: Path, printed: str) -> float:
    """The mean of NT-Xent over the steps that the last line of progress is about."""
    *_, before, last = map(int, re.findall(r"step (\d+)/20", printed))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["train/contrast_loss"] for line in lines if before < line["step"] <= last]
    assert len(losses) == last - before
    return float(np.mean(losses))


def check_same(merged: Path, several: Path) -> None:
    """Compares the first steps: later ones multiply the last bit that sums differ by."""
    for step in (5, 10):
        processes.assert_close(
            processes.weights(merged, f"ckpt-{step}"), processes.weights(several, f"ckpt-{step}")
        )
    first, second = processes.losses(merged)[:5], processes.losses(several)[:5]
    assert len(first) == 5
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_two_workers_equal_one_device(pretrained: Path, run_merged, tmp_path: Path) -> None:
    run_merged(2, *COMMON, "--mode=train", f"--model_dir={tmp_path}")
    check_same(tmp_path, pretrained)


def test_two_workers_encode_in_parts_what_one_device_does(run_merged, tmp_path: Path) -> None:
    flags = [*COMMON, "--mode=train", "--train_steps=2", "--micro_batch_size=4"]
    flags += ["--steps_per_loop=1"]  # traced once, not twice
    processes.run_workers(2, *flags, f"--model_dir={tmp_path / 'two'}")
    run_merged(2, *flags, f"--model_dir={tmp_path / 'one'}")
    one, two = (processes.weights(tmp_path / name) for name in ("one", "two"))
    processes.assert_close(one, two)


def test_the_chief_alone_leaves_files(pretrained: Path) -> None:
    names = {path.name for path in pretrained.iterdir() if not path.name.startswith("ckpt-")}
    assert names == {
        *("checkpoint", "config.json", "flags.json", "plan.json", "simclr.json", "saved_model"),
        *("serving", "train", "eval", "result.json", "result_20.json"),
        *("metrics.jsonl", "curves.png", "environment.json"),
    }
    assert len(list((pretrained / "train").iterdir())) == 1


def test_each_image_is_evaluated_once(pretrained: Path, run_here, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    processes.keep_until(pretrained, folder, step=20)
    # Finished: evaluates, on one device.
    assert run_here(*COMMON, f"--model_dir={folder}", export=False) == 0
    first, second = (json.loads((f / "result.json").read_text()) for f in (pretrained, folder))
    assert first == pytest.approx(second, abs=1e-6)


def test_three_workers_fine_tune_as_one_device_does(
    pretrained: Path, run_merged, tmp_path: Path
) -> None:
    flags = [*COMMON, "--train_mode=finetune", f"--checkpoint={pretrained}", "--train_steps=10"]
    flags += ["--train_batch_size=18", "--eval_batch_size=120"]
    chief = processes.run_workers(
        3, *flags, f"--model_dir={tmp_path / 'three'}", module="tests.bare"
    )[0]
    run_merged(3, *flags, f"--model_dir={tmp_path / 'one'}")
    check_same(tmp_path / "one", tmp_path / "three")
    assert "step 10, test (355 images)" in chief
    results = [tmp_path / name / "result.json" for name in ("one", "three")]
    first, second = (json.loads(result.read_text()) for result in results)
    assert first["eval/label_top_1_accuracy"] == pytest.approx(
        second["eval/label_top_1_accuracy"], abs=1e-6
    )


def wait_for(path: Path, workers: list) -> None:
    begin = time.monotonic()
    while not path.exists():
        assert all(worker.returncode is None for worker in workers), workers[0].communicate()
        assert time.monotonic() - begin < 240, f"{path.name} was never written"
        time.sleep(0.01)


def test_killed_and_preempted_workers_end_where_undisturbed_ones_do(
    pretrained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    flags = [*COMMON, "--mode=train", "--train_summary_steps=20", f"--model_dir={folder}"]

    workers = processes.start_workers(2, *flags, module="tests.bare")
    wait_for(folder / "ckpt-5.index", workers)
    workers[1].kill()
    begin = time.monotonic()
    printed = workers[0].communicate(timeout=SECONDS_TO_NOTICE)
    assert time.monotonic() - begin < SECONDS_TO_NOTICE
    assert workers[0].returncode == 75, printed
    last = printed.strip().splitlines()[-1]
    assert last.startswith("error: worker 0 of 2 has lost another one (")
    assert "start all workers again" in last
    workers[1].communicate()

    workers = processes.start_workers(2, *flags, module="tests.bare")
    wait_for(folder / "ckpt-10.index", workers)
    workers[1].send_signal(signal.SIGTERM)
    outputs = [worker.communicate(timeout=SECONDS_TO_NOTICE) for worker in workers]
    assert [worker.returncode for worker in workers] == [143, 143], outputs
    lines = [line for output in outputs for line in output.splitlines()]
    stops = {line for line in lines if line.startswith("stopped by SIGTERM")}
    (stop,) = stops  # the same step for both
    step = int(stop.partition("saved at step ")[2].partition(";")[0])
    assert 10 <= step < 20
    assert (folder / f"ckpt-{step}.index").exists()

    chief = processes.run_workers(2, *flags, module="tests.bare")[0]
    assert f"continues from step {step}" in chief
    first, second = processes.weights(pretrained), processes.weights(folder)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_goes_on_with_another_number_of_workers(
    pretrained: Path, run_here, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "run"
    processes.keep_until(pretrained, folder, step=15)
    assert run_here(*COMMON, "--mode=train", f"--model_dir={folder}", export=False) == 0
    assert "continues from step 15" in capsys.readouterr().out
    before, after = processes.weights(folder, "ckpt-15"), processes.weights(folder)
    assert before.keys() == after.keys()
    moved = {name for name in after if not np.array_equal(before[name], after[name])}
    assert len(moved) > 60
