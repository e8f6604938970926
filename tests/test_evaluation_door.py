"""--mode=eval asks for devices, the data of its own split and the network, and for nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from simclr_tf.run import main
from tests import processes
from tests.conftest import TINY


@pytest.fixture(scope="module")
def trained(run_here, tmp_path_factory) -> Path:
    """A run that was evaluated when it ended."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ["--train_steps=2", "--mode=train_then_eval", "--eval_steps=2"]
    assert run_here(*TINY, *flags, f"--model_dir={folder}", export=False) == 0
    return folder


def evaluate(folder: Path, *given: str) -> int:
    return main(["simclr_tf", "--mode=eval", f"--model_dir={folder}", *given])


def test_what_is_not_given_is_the_runs_own(trained: Path, capsys) -> None:
    """Its split, batch and steps: two batches of 128 of 355 images; the same figures."""
    before = json.loads((trained / "result.json").read_text())
    (trained / "result.json").unlink()
    assert evaluate(trained) == 0
    assert "step 2, test (256 images)" in capsys.readouterr().out
    assert json.loads((trained / "result.json").read_text()) == pytest.approx(before, abs=1e-6)
    assert evaluate(trained, "--eval_steps=1", "--eval_batch_size=10") == 0
    assert "step 2, test (10 images)" in capsys.readouterr().out


def test_a_checkpoint_has_the_step_that_its_name_says(
    trained: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in trained.glob("ckpt-2.*"):
        shutil.copy(file, file.name.replace("ckpt-2", "ckpt-84"))
    shutil.copy(trained / "simclr.json", ".")
    given = ["--dataset=digits", "--eval_split=test[:20]", "--checkpoint=ckpt-84"]
    assert main(["simclr_tf", "--mode=eval", *given]) == 0
    assert "step 84, test[:20] (20 images)" in capsys.readouterr().out
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["global_step"] == 84


def test_views_of_a_run_need_none_of_its_checkpoints(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    given = ["--mode=show_views", f"--model_dir={folder}", f"--checkpoint={folder}"]
    assert main(["simclr_tf", *given]) == 0
    assert (folder / "views.png").exists()


def test_a_setting_of_another_version_is_no_traceback(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "of_tomorrow": {"a": 1}}))
    assert evaluate(folder) == 0


@pytest.mark.parametrize("content", ["[]", '{"dataset": "digits", "image_size": "large"}', "{"])
def test_a_damaged_configuration_is_one_line(
    content: str, trained: Path, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    (folder / "config.json").write_text(content)
    assert evaluate(folder) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --model_dir={folder}: config.json ")
    assert error.count("\n") == 1


def test_no_training_split_no_plan_and_no_other_machine(trained: Path, tmp_path: Path) -> None:
    """Three devices cannot share the run's batch of 16, and nobody answers for worker 1."""
    digits = Path(os.environ["TFDS_DATA_DIR"]) / "digits"
    shutil.copytree(digits, tmp_path / "digits")
    (info,) = (tmp_path / "digits").rglob("dataset_info.json")
    content = json.loads(info.read_text())
    content["splits"] = [split for split in content["splits"] if split["name"] == "test"]
    info.write_text(json.dumps(content))
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    task = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
    process = processes.start(
        *("--mode=eval", f"--model_dir={trained}"),
        *("--num_virtual_devices=3", "--eval_batch_size=129", "--eval_steps=0"),
        f"--data_dir={tmp_path}",
        TF_CONFIG=json.dumps(task),
    )
    output = process.communicate()
    assert process.returncode == 0, output
    assert "step 2, test (355 images)" in output


def test_replicas_must_share_the_evaluation_batch(trained: Path, capsys) -> None:
    process = processes.start(
        *("--mode=eval", f"--model_dir={trained}"),
        "--num_virtual_devices=3",
    )
    output = process.communicate()
    assert process.returncode == 2
    assert "--eval_batch_size=128 cannot be divided among 3 replicas" in output
