"""Paths that are not on this machine's disk: gs:// by way of TensorFlow's in-memory ram://."""

from __future__ import annotations

import ast
import uuid
from pathlib import Path

import pytest
import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import find_weights
from simclr_tf.errors import SettingError
from simclr_tf.training.metrics_file import MetricsFile

ROOT = Path(__file__).parents[1]

# Calls that know this machine's disk only -> where they are right all the same.
LOCAL_ONLY = {
    # What users' paths mean: paths.py asks for a scheme first.
    **dict.fromkeys(
        (
            *("os.path.expanduser", "os.path.normpath", "os.path.realpath", "os.path.samefile"),
            *("os.path.exists", "os.path.split", "os.path.basename", "os.symlink", "os.getcwd"),
            "os.path.isabs",
            "tempfile.mkdtemp",
            "shutil.rmtree",
        ),
        {"paths.py"},
    ),
    "os.fspath": {"data/datasets.py", "data/preparation.py"},
    # _check_can_prepare returns before these where the path holds "://".
    "os.path.lexists": {"data/preparation.py", "paths.py"},
    "os.path.dirname": {"data/preparation.py", "paths.py"},
    "os.path.isdir": {"data/preparation.py", "data/folder_files.py", "paths.py"},
    "os.path.join": {"data/preparation.py", "paths.py"},
    "os.access": {"data/preparation.py"},
    "os.listdir": {"data/preparation.py", "paths.py"},
    # _walk_local; _walk_remote lists what is not local.
    "os.stat": {"data/folder_files.py"},
    "os.scandir": {"data/folder_files.py"},
    # The TPU's device files, and a file without a name that catches start-up lines.
    "glob.glob": {"compat.py"},
    "tempfile.TemporaryFile": {"compat.py"},
    "os.dup": {"compat.py"},
    "os.dup2": {
        "compat.py",
        "terminal.py",
    },  # terminal.py: of what is printed where nobody reads it
    "os.open": {"terminal.py"},
    "os.close": {"compat.py", "stopping.py"},
    # Pipes, and the end of a process.
    "os.pipe": {"stopping.py"},
    "os.set_blocking": {"stopping.py"},
    "os.write": {"stopping.py"},
    "os._exit": {"stopping.py"},
    # Which processes there are; and a file that only one process can create, where files.py has
    # been told that the path is a local one.
    "os.getpid": {"runs/lock.py", "stopping.py"},
    "os.kill": {"runs/lock.py", "stopping.py"},
    "os.rmdir": {"runs/lock.py"},
    "os.readlink": {"runs/lock.py"},
    # environment.py: the processor's model, and where this package lies.
    "pathlib": {"memory.py", "runs/environment.py", "runs/lock.py", "runs/timing.py"},
    # In the system's own folder: a checkpoint, to time it; a SavedModel before it goes to gs://.
    "tempfile.TemporaryDirectory": {"runs/timing.py", "serving/versions.py"},
    "open": {"files.py", "stopping.py"},
    # Of and into memory.
    "np.load": {"embedding/parts.py"},
    "np.savez": {"embedding/parts.py"},
}
# Not path functions, of the modules that are looked at.
HARMLESS = {"os.environ", "os.environ.get", "os.environ.setdefault", "os.PathLike", "os.path"}
HARMLESS |= {"os.W_OK", "os.X_OK", "os.O_WRONLY", "os.cpu_count", "os.devnull"}
# `make quickstart` writes below the clone and takes no path from the user. The client of a server
# reads pictures of the machine that it runs on, and starts without TensorFlow. Flag files are read
# by absl, from this machine's disk alone.
EXEMPT = {"quickstart.py", "serving/answers.py", "serving/client.py", "packaged_recipes.py"}


_MODULES = ("os", "pathlib", "shutil", "glob", "tempfile", "io", "np")


def uses_of_the_local_disk(source: str) -> set[str]:
    """Returns what code names of os, pathlib, shutil, glob and tempfile, and open."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name.split(".")[0] in _MODULES and name.replace(".", "").isidentifier():
                found.add(name)
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "pathlib", "shutil"):
            found.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
            found.add("open")
    numpy_files = {"np.load", "np.save", "np.savez", "np.savetxt", "np.loadtxt", "np.fromfile"}
    others = {name for name in found if name.startswith(("np.", "io.")) and name != "io.open"}
    return found - (others - numpy_files) - HARMLESS


def test_what_is_looked_for_is_found() -> None:
    code = "import os\nfrom pathlib import Path\nos.makedirs(a)\nopen(b)\nnp.load(c)\nio.BytesIO(d)"
    assert uses_of_the_local_disk(code) == {"os.makedirs", "pathlib", "open", "np.load"}


def test_no_code_takes_a_users_path_for_a_local_one() -> None:
    package = ROOT / "simclr_tf"
    used: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        name = str(path.relative_to(package))
        if name not in EXEMPT:
            for use in uses_of_the_local_disk(path.read_text()):
                used.setdefault(use, set()).add(name)
    assert used == LOCAL_ONLY


@pytest.mark.parametrize(
    ("path", "folder"),
    [("gs://b/run/ckpt-1", "gs://b/run"), ("/ckpt-1", "/"), ("ckpt-1", "."), ("a/b", "a")],
)
def test_parent(path: str, folder: str) -> None:
    assert files.parent(path) == folder


@pytest.mark.parametrize(
    "flags",
    [
        "--model_dir=s3://bucket/run",
        "--checkpoint=s3://bucket/run",
        "--data_dir=s3://bucket/tfds",
        "--dataset=folder:s3://bucket/pictures",
        "--dataset=folder:. --folder_labels=s3://bucket/labels.csv",
        "--mode=eval --model_dir=s3://bucket/run",
        "--mode=export --checkpoint=s3://bucket/run",
        "--mode=show_views --model_dir=s3://bucket/run",
    ],
)
def test_what_tensorflow_cannot_reach_is_one_line(
    flags, run, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*flags.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    flag = flags.split()[-1]
    assert lines[-1].startswith(f"error: {flag} is on s3://, which TensorFlow {tf.__version__} on ")
    assert "give a path on a disk of this machine, or on one of file://, gs://, ram://" in lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_schemes_that_are_reached() -> None:
    for path in ("a/b", "/a", "gs://b/c", "ram://b", "file:///a", "odd name://b", "a/b://c", ""):
        files.check_reachable("model_dir", path)
    with pytest.raises(SettingError, match="`dataset=folder:hdfs://a` is on hdfs://"):
        files.check_reachable("dataset", "folder:hdfs://a", "hdfs://a")


@pytest.mark.smoke
def test_a_run_its_continuation_probe_and_finetuning_away_from_the_disk(
    run, tmp_path, monkeypatch, capsys
) -> None:
    """ram:// is a file system of TensorFlow's as gs:// is: what asks os for it finds nothing."""
    monkeypatch.chdir(tmp_path)  # where a path taken for a local one would appear
    base = f"ram://{uuid.uuid4().hex}"
    whole, parts = f"{base}/whole", f"{base}/parts"
    common = ["--train_steps=2", "--checkpoint_steps=1", "--nolineareval_while_pretraining"]
    common.append("--train_summary_steps=1")
    assert run(*common, f"--model_dir={whole}") == 0
    names = set(tf.io.gfile.listdir(whole))
    assert {"config.json", "simclr.json", "ckpt-2.index", "curves.png"} < names
    lines = MetricsFile(whole).read()
    assert [line["step"] for line in lines] == [1, 2]
    assert tf.io.gfile.exists(f"{whole}/saved_model/2/saved_model.pb")
    assert tf.io.gfile.exists(f"{whole}/saved_model/2/assets.extra/simclr.json")
    assert not [name for name in names if ".tmp" in name]

    # A run that was stopped after its first step.
    tf.io.gfile.makedirs(parts)
    for name in names:
        if name.startswith("ckpt-1.") or name.endswith((".json", ".jsonl")):
            tf.io.gfile.copy(f"{whole}/{name}", f"{parts}/{name}")
    with tf.io.gfile.GFile(f"{parts}/checkpoint", "w") as file:
        file.write('model_checkpoint_path: "ckpt-1"')
    capsys.readouterr()
    assert run(*common, f"--model_dir={parts}", export=False) == 0
    assert "continues from step 1" in capsys.readouterr().out
    again = MetricsFile(parts).read()
    assert again[0] == lines[0]
    assert [line["step"] for line in again] == [1, 2]
    assert again[1]["time"] > lines[1]["time"]
    first, second = map(tf.train.load_checkpoint, (whole, parts))
    for key in first.get_variable_to_shape_map():
        if key.endswith("VARIABLE_VALUE") and "save_counter" not in key:
            assert (first.get_tensor(key) == second.get_tensor(key)).all(), key

    for source in (whole, f"{whole}/ckpt-1", f"{whole}/saved_model", f"{whole}/saved_model/2"):
        assert find_weights(source).description.dataset == "digits"
    flags = [f"--checkpoint={whole}", "--label_fractions=1", f"--model_dir={base}/probe"]
    assert run("--mode=probe", *flags) == 0
    assert 0 < files.read_json(f"{base}/probe/probe.json")["knn"] <= 1
    tuned = f"{base}/tuned"
    flags = [f"--checkpoint={whole}/saved_model", "--train_steps=1", f"--model_dir={tuned}"]
    assert run("--train_mode=finetune", "--mode=train_then_eval", *flags) == 0
    assert files.read_json(f"{tuned}/result.json")["global_step"] == 1
    assert tf.io.gfile.exists(f"{tuned}/saved_model/1/saved_model.pb")
    assert run("--mode=show_views", f"--model_dir={base}/views") == 0
    assert tf.io.gfile.exists(f"{base}/views/views.png")
    assert list(tmp_path.iterdir()) == []
