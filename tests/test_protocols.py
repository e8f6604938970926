"""--mode=evaluate by each protocol, and --mode=compare, on a tiny run."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simclr_tf.evaluation import linear
from simclr_tf.runs import evaluation_files, frozen
from simclr_tf.training.metrics_file import MetricsFile
from tests.conftest import TINY

KNN = ["--protocol=knn", "--knn_k=20,5", "--knn_temperature=0.07"]


@pytest.fixture(scope="module")
def trained(run_here, tmp_path_factory) -> Path:
    """A run of two steps, with checkpoints of both."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ["--train_steps=2", "--checkpoint_steps=1", "--nolineareval_while_pretraining"]
    flags += ["--train_split=train[:200]"]
    assert run_here(*TINY, *flags, f"--model_dir={folder}", export=False) == 0
    return folder


def evaluate(run_here, folder: Path, *flags: str) -> list[dict]:
    assert run_here("--mode=evaluate", f"--model_dir={folder}", *flags) == 0
    return json.loads((folder / "evaluation.json").read_text())["figures"]


def hash_of(prefix: Path) -> str:
    """The hash of a checkpoint's encoder, without the package: names, types, shapes, values."""
    reader = tf.train.load_checkpoint(str(prefix))
    found = {}
    for key in reader.get_variable_to_shape_map():
        path, ending, _ = key.partition("/.ATTRIBUTES/VARIABLE_VALUE")
        if ending and "/encoder/" in f"/{path}" and "optimizer" not in path:
            found[path[path.index("encoder/") :]] = reader.get_tensor(key)
    digest = hashlib.sha256()
    for path, value in sorted(found.items()):
        digest.update(f"{path} {value.dtype.name} {value.shape}\n".encode() + value.tobytes())
    return digest.hexdigest()


@pytest.mark.smoke
def test_frozen_features_of_the_last_checkpoint(trained: Path, run_here, capsys) -> None:
    rows = evaluate(
        *(run_here, trained, "--seeds=2", "--label_fractions=0.1,1", "--nolinear_augmentation"),
        *("--protocol=knn,logistic_regression,clustering,linear", *KNN[1:]),
    )
    kinds = [(row["protocol"], row["metric"], row["repetitions"]) for row in rows]
    assert kinds == [
        *[("knn", "top-1", 1)] * 2,
        *[("logistic_regression", "top-1", 10), ("logistic_regression", "top-1", 1)],
        ("linear", "top-1", 1),  # the same for each seed: a batch is all 200 images
        *[("clustering", "NMI", 2), ("clustering", "adjusted Rand index", 2)],
    ]
    assert [row["case"] for row in rows[:2]] == ["k 20, T 0.07", "k 5, T 0.07"]
    assert [row["labels"] for row in rows[2:4]] == [20, 200]
    assert all(0 < row["value"] < 1 and row["test_images"] == 355 for row in rows)
    (expected,) = {row["encoder_sha256"] for row in rows}
    assert expected == rows[0]["encoder_sha256_afterwards"] == hash_of(trained / "ckpt-2")
    assert expected != hash_of(trained / "ckpt-1")
    assert {row["step"] for row in rows} == {2}
    printed = capsys.readouterr().out
    for row in rows:
        assert row["case"] in printed
    assert "(labels 200, similarity cosine, votes exp(similarity / T))" in printed
    with (trained / "evaluation.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [float(row["value"]) for row in read] == [row["value"] for row in rows]


def row(protocol: str, case: str = "a", sha256: str = "ab", split: str = "test") -> dict:
    fields = {"protocol": protocol, "case": case, "encoder_sha256": sha256, "dataset": "digits"}
    fields["metric"] = "top-1"
    rest = {
        "train_split": "train",
        "eval_split": split,
        "image_size": 8,
        "settings": {},
        "value": 0.5,
    }
    return {**fields, **rest}


def test_what_was_measured_before_is_kept_unless_the_weights_are_others(tmp_path: Path) -> None:
    def cases(*rows: dict) -> list[str]:
        evaluation_files.write_rows(str(tmp_path), rows)
        found = json.loads((tmp_path / "evaluation.json").read_text())["figures"]
        return [f"{r['protocol']} {r['case']}" for r in found]

    assert cases(row("knn"), row("knn", "b")) == ["knn a", "knn b"]
    assert cases(row("linear")) == ["knn a", "knn b", "linear a"]
    assert cases(row("knn", "c")) == ["linear a", "knn c"]
    assert cases(row("knn", "d", split="train")) == ["linear a", "knn c", "knn d"]
    assert len((tmp_path / "evaluation.csv").read_text().splitlines()) == 4
    assert cases(row("linear", "e", sha256="cd")) == ["linear e"]
    for damaged in ("{", "[]", '{"figures": [{}]}', '{"figures": 3}'):
        (tmp_path / "evaluation.json").write_text(damaged)
        assert cases(row("knn")) == ["knn a"]


def test_an_encoder_that_changes_is_told_and_nothing_is_written(
    trained: Path, run_here, tmp_path: Path, monkeypatch, capsys
) -> None:
    examples = frozen.FrozenEncoder.examples

    def examples_of_one_that_learns(self: frozen.FrozenEncoder) -> tuple:
        found = examples(self)
        changed = self.encoder.non_trainable_variables[-1]
        changed.assign(changed * (1 + 1e-6))
        return found

    monkeypatch.setattr(frozen.FrozenEncoder, "examples", examples_of_one_that_learns)
    flags = [f"--checkpoint={trained}", "--dataset=digits", "--eval_split=test[:50]"]
    assert run_here("--mode=evaluate", f"--model_dir={tmp_path}", *KNN, *flags) == 70
    assert "error: the encoder has changed while it was measured" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_linear_evaluation_on_crops_and_flips(trained: Path, run_here, monkeypatch) -> None:
    """New views in each epoch, other ones for another seed, and the same ones for the same."""
    weights = []

    def keeping(*args: object, **settings: object) -> np.ndarray:
        weights.append(train_linear(*args, **settings))
        return weights[-1]

    train_linear = linear.train_linear
    monkeypatch.setattr(linear, "EPOCHS", 2)
    monkeypatch.setattr(linear, "train_linear", keeping)
    flags = ["--protocol=linear", "--eval_batch_size=30", "--train_split=train[:100]"]
    (found,) = evaluate(run_here, trained, *flags, "--seeds=2")[-1:]
    assert (found["labels"], found["settings"]["steps"], found["repetitions"]) == (100, 2, 2)
    assert found["settings"]["augmentation"] == "crop and flip"
    assert found["settings"]["learning rate"] == pytest.approx(0.1 * 100 / 256)
    evaluate(run_here, trained, *flags, "--seeds=1")
    first, second, again = weights
    assert np.abs(first - second).max() > 1e-6
    np.testing.assert_array_equal(first, again)


def test_fine_tuning_on_few_labels_beside_training_from_scratch(
    trained: Path, run_here, capsys
) -> None:
    """Two runs of their own, which go on where the command is given again."""
    flags = ["--protocol=semi_supervised", "--label_fractions=0.1,1", "--seeds=1"]
    flags += ["--train_steps=2", "--seed=1"]
    rows = evaluate(run_here, trained, *flags)[-2:]
    labels = "10%: 20 labels, 2 of each class"
    assert [row["case"] for row in rows] == [f"{labels}, pretrained", f"{labels}, from scratch"]
    configs = []
    for row, way in zip(rows, ("pretrained", "from_scratch")):
        folder = trained / "semi_supervised/10pct/seed_1" / way
        configs.append(json.loads((folder / "config.json").read_text()))
        result = json.loads((folder / "result.json").read_text())
        assert [result["eval/label_top_1_accuracy"]] == row["values"]
        assert not (folder / "saved_model").exists()
    ours, theirs = configs
    differ = {name for name in ours if ours[name] != theirs[name]}
    assert differ == {"checkpoint", "model_dir"}, "the same rule, length and labels"
    assert (ours["labels_per_class"], ours["seed"]) == (2, 1)
    assert (ours["optimizer"], ours["train_batch_size"]) == ("momentum", 16)
    assert rows[0]["settings"]["optimizer"] == rows[1]["settings"]["optimizer"] == "momentum"
    capsys.readouterr()
    assert evaluate(run_here, trained, *flags)[-2:] == rows
    assert capsys.readouterr().out.count("is finished: 2 of 2 steps") == 2


def test_knn_while_pretraining_is_a_curve_and_changes_nothing(
    trained: Path, run_here, tmp_path: Path, capsys
) -> None:
    flags = ["--train_steps=2", "--checkpoint_steps=1", "--nolineareval_while_pretraining"]
    flags += ["--train_split=train[:200]", "--knn_every_epochs=1"]
    assert run_here(*TINY, *flags, f"--model_dir={tmp_path}", export=False) == 0
    assert "step 2: kNN " in capsys.readouterr().out
    first, second = (tf.train.load_checkpoint(str(f / "ckpt-2")) for f in (trained, tmp_path))
    for key in first.get_variable_to_shape_map():
        if "encoder" in key:
            np.testing.assert_array_equal(first.get_tensor(key), second.get_tensor(key))
    lines = MetricsFile(str(tmp_path)).read()
    (point,) = [line for line in lines if "eval/knn_top_1" in line]
    given = ["--protocol=knn", "--knn_k=20", "--knn_temperature=0.1"]
    (found,) = evaluate(run_here, tmp_path, *given)
    assert point["step"] == 2
    assert point["eval/knn_top_1"] == pytest.approx(found["value"], abs=1e-9)
    events = EventAccumulator(str(tmp_path / "eval"))
    events.Reload()
    assert "eval/knn_top_1" in events.Tags()["tensors"]


def test_runs_side_by_side(trained: Path, run_here, tmp_path: Path, capsys) -> None:
    other = tmp_path / "other"
    other.mkdir()
    config = json.loads((trained / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "temperature": 0.7, "mode": "eval"}))
    (other / "probe.json").write_text(json.dumps({"knn": 0.25, "knn_k": 9}))
    (other / "result.json").write_text(json.dumps({"eval/label_top_1_accuracy": 0.5}))
    assert run_here("--mode=compare", trained, other) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["what", "differs", trained.name, "other"]
    assert lines[1] == ["temperature", "0.1", "0.7"]
    assert lines[2][:3] == ["what", "was", "measured"]
    assert lines[-2:] == [
        ["probe:", "knn", "(k", "9),", "top-1", "-", "0.2500"],
        ["classifier,", "top-1", "-", "0.5000"],
    ]
    assert run_here("--mode=compare", tmp_path, other) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path} holds no run: left out\n")
    assert run_here("--mode=compare", tmp_path) == 2
    assert "error: no folder holds a run" in capsys.readouterr().err
