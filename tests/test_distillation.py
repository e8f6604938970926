"""`--train_mode=distill`: a student that learns what a teacher predicts, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import data, files
from simclr_tf.checkpoints import find_weights, stored_fingerprint
from simclr_tf.checkpoints.numbered import prefix_of
from simclr_tf.config import parse
from simclr_tf.errors import RunFailed
from simclr_tf.models.precision import under_policy
from simclr_tf.runs.networks import build_teacher
from simclr_tf.runs.preparation import prepare
from simclr_tf.runs.teacher import Frozen, open_teacher
from tests import processes
from tests.conftest import TINY
from tests.test_training_runs import assert_same, metrics_of, weights_of

DISTILL = ("--train_mode=distill", "--optimizer=momentum")
# As wide as TINY's network: 8 channels and 16.
LEARNING = ("--width_multiplier=0.125", "--train_batch_size=64", "--optimizer=momentum")
LEARNING += ("--learning_rate=0.4", "--cache_dataset", "--train_summary_steps=50")


@pytest.fixture(scope="module")
def teacher(run_here, tmp_path_factory) -> Path:
    """A network that knows digits, on 12 px views: as a run, and as its SavedModel."""
    folder = tmp_path_factory.mktemp("teacher")
    flags = [*TINY, *LEARNING, "--image_size=12", "--train_mode=finetune", "--train_steps=300"]
    flags += ["--ft_proj_selector=1", "--mode=train_then_eval", f"--model_dir={folder}"]
    assert run_here(*flags) == 0
    return folder


@pytest.fixture(scope="module")
def student(teacher: Path, run_here, tmp_path_factory) -> Path:
    """Three steps, a checkpoint each; no image size is given."""
    folder = tmp_path_factory.mktemp("student")
    assert run_here(*three_steps(teacher), f"--model_dir={folder}") == 0
    return folder


def three_steps(teacher: Path) -> list[str]:
    tiny = [flag for flag in TINY if not flag.startswith("--image_size")]
    return [*tiny, *DISTILL, "--train_steps=3", "--checkpoint_steps=1", f"--teacher={teacher}"]


def top_1(folder: Path) -> float:
    return json.loads((folder / "result.json").read_text())["eval/label_top_1_accuracy"]


def note_of(folder: Path) -> dict:
    return json.loads((folder / "teacher.json").read_text())


def test_a_smaller_student_without_labels_comes_close_to_its_teacher(
    teacher: Path, run_here, tmp_path: Path
) -> None:
    flags = [*TINY, *LEARNING, "--width_multiplier=0.0625", *DISTILL, f"--teacher={teacher}"]
    flags += ["--image_size=12", "--train_steps=300", "--mode=train_then_eval"]
    assert run_here(*flags, f"--model_dir={tmp_path}", export=False) == 0
    sizes = [sum(v.size for v in weights_of(f, "encoder").values()) for f in (tmp_path, teacher)]
    assert sizes[0] < 0.5 * sizes[1]
    assert top_1(teacher) > 0.85
    assert top_1(tmp_path) > top_1(teacher) - 0.1
    last = metrics_of(tmp_path)[-1]
    assert last["train/teacher_agreement"] > 0.5  # on crops, some of which show no digit
    assert not [name for name in last if "supervised" in name]


def test_what_a_student_stores(teacher: Path, student: Path, capsys) -> None:
    """Its own variables and no more, its teacher's classes and size, and who has taught it."""
    network = json.loads((student / "simclr.json").read_text())
    exported = json.loads((student / "saved_model/3/assets.extra/simclr.json").read_text())
    for described in (network, exported):
        assert described["train_mode"] == "distill"
        assert described["class_names"] == [str(number) for number in range(10)]
        assert described["preprocessing"]["image_size"] == 12
    parts = ("encoder/", "projection_head/", "supervised_head/")
    stored = {key for key in weights_of(student) if key.startswith(parts)}
    own = {key for key in weights_of(teacher) if key.startswith(parts)}
    assert stored == own, "the names of the same parts, once each"
    widths = {
        weights_of(folder, "encoder/stem")[key].shape[-1]
        for folder in (student, teacher)
        for key in weights_of(folder, "encoder/stem")
        if "kernel" in key
    }
    assert widths == {4, 8}
    note = note_of(student)
    assert note["unchanged_at_step"] == 3
    assert note["fingerprint"] == stored_fingerprint(find_weights(str(teacher)))
    model = tf.saved_model.load(str(student / "saved_model/3"))
    assert model.signatures["classify"].structured_outputs.keys() >= {"logits"}


def test_a_teacher_is_what_its_file_holds_whatever_its_student_computes_in(teacher: Path) -> None:
    weights = find_weights(str(teacher))
    images = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    built = build_teacher(weights)
    with under_policy("mixed_bfloat16"):
        beside = build_teacher(weights)
    assert beside.fingerprints(tf.distribute.get_strategy()) == {stored_fingerprint(weights)}
    assert beside.image_size == 12
    model = tf.saved_model.load(str(teacher / "saved_model/300"))
    expected = model.signatures["classify"](images=tf.constant(images))["logits"]
    assert expected.shape == (2, 10)
    np.testing.assert_array_equal(beside(images), built(images))
    np.testing.assert_allclose(built(images), expected, rtol=1e-4, atol=1e-5)


def test_a_saved_model_teaches_the_same(teacher: Path, student: Path, run, tmp_path) -> None:
    flags = three_steps(teacher / "saved_model")
    assert run(*flags, f"--model_dir={tmp_path}", tiny=False, export=False) == 0
    assert_same(weights_of(student), weights_of(tmp_path))
    assert note_of(tmp_path)["fingerprint"] == note_of(student)["fingerprint"]


def test_it_goes_on_as_if_never_stopped_also_where_its_teacher_has_moved(
    teacher: Path, student: Path, run, tmp_path: Path, capsys
) -> None:
    processes.keep_until(student, tmp_path / "student", step=2)
    shutil.copytree(teacher / "saved_model", tmp_path / "moved")
    capsys.readouterr()
    here = f"--model_dir={tmp_path / 'student'}"
    assert run(*three_steps(tmp_path / "moved"), here, tiny=False, export=False) == 0
    printed = capsys.readouterr().out
    assert "continues from step 2" in printed
    assert f"teacher has moved from {teacher} to {tmp_path}/moved" in printed
    assert_same(weights_of(student), weights_of(tmp_path / "student"))


def test_another_teachers_weights_are_refused(
    teacher: Path, student: Path, run, tmp_path: Path, capsys
) -> None:
    """At another path, and at the same one."""
    processes.keep_until(student, tmp_path / "student", step=2)
    other = tmp_path / "other"
    shutil.copytree(teacher, other)
    step = sorted(teacher.glob("ckpt-*.index"))[-1].stem
    for file in student.glob("ckpt-3.*"):
        shutil.copy(file, other / file.name.replace("ckpt-3", step))
    shutil.copy(student / "simclr.json", other / "simclr.json")
    here = f"--model_dir={tmp_path / 'student'}"
    assert run(*three_steps(other), here, tiny=False) == 2
    printed = capsys.readouterr().err
    assert f"error: --teacher={other} holds other weights than those that the run in" in printed
    assert printed.count("\n") == 1
    config = json.loads((tmp_path / "student/config.json").read_text())
    files.write_json(str(tmp_path / "student/config.json"), {**config, "teacher": str(other)})
    assert run(*three_steps(other), here, tiny=False) == 2
    assert "holds other weights than those" in capsys.readouterr().err


def test_what_cannot_teach(teacher: Path, student: Path, run, tmp_path: Path, capsys) -> None:
    without = tmp_path / "without"
    pretrain = ["--train_steps=1", "--nolineareval_while_pretraining", f"--model_dir={without}"]
    assert run(*pretrain, export=False) == 0
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "empty/1.png")
    shutil.copytree(teacher / "saved_model", tmp_path / "broken")
    (described,) = (tmp_path / "broken").glob("*/assets.extra/simclr.json")
    described.write_text("{")
    unlabeled = [f"--dataset=folder:{tmp_path / 'empty'}", "--train_batch_size=1"]
    for name in ("cat", "dog"):
        (tmp_path / f"pets/{name}").mkdir(parents=True)
        shutil.copy(tmp_path / "empty/1.png", tmp_path / f"pets/{name}/1.png")
    pets = [f"--dataset=folder:{tmp_path / 'pets'}", "--folder_labels=folders"]
    pets += ["--train_split=all", "--train_batch_size=1"]
    mixed = [f"--teacher={teacher}", "--distill_weight=0.5"]
    for flags, message in (
        ([f"--teacher={without}"], f"--teacher={without} has no classifier, so it predicts"),
        ([f"--teacher={tmp_path / 'no'}"], f"--teacher={tmp_path / 'no'} does not exist"),
        ([f"--teacher={tmp_path / 'empty'}"], "holds no checkpoint or SavedModel"),
        ([f"--teacher={tmp_path / 'broken'}"], f"--teacher={tmp_path / 'broken'}: "),
        ([f"--teacher={teacher}", f"--model_dir={teacher}"], "is --model_dir, where the student"),
        ([*mixed, *pets], f"/pets has 2 classes, --teacher={teacher} 10; give a data set of the"),
        ([*mixed, *unlabeled], "--distill_weight=0.5 learns from classes, and --dataset=folder:"),
    ):
        capsys.readouterr()
        folder = tmp_path / "student"
        flags = [f"--model_dir={folder}", *flags]
        assert run(*DISTILL, "--train_steps=1", *flags) == 2, message
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1
        assert not folder.exists()


def test_a_teacher_that_changes_ends_the_run(teacher: Path, tmp_path: Path) -> None:
    config = parse([*three_steps(teacher), f"--model_dir={tmp_path}"])
    config, weights = open_teacher(config)
    run = prepare(config, None, weights)
    built = build_teacher(weights)
    frozen = Frozen.of(built, weights)
    frozen.prove(run, 1)
    assert note_of(tmp_path)["unchanged_at_step"] == 1
    moving = next(v for v in built._network.variables if "moving_mean" in v.name)
    moving.assign_add(1e-6 * tf.ones_like(moving))
    with pytest.raises(RunFailed, match="at step 2 the teacher's weights are no longer those of"):
        frozen.prove(run, 2)
    assert note_of(tmp_path)["unchanged_at_step"] == 1


def test_pictures_without_labels_get_their_teachers_classes(
    teacher: Path, run, tmp_path: Path, capsys
) -> None:
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (14, 14, 3), np.uint8)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number}.png")
    flags = [*three_steps(teacher), f"--dataset=folder:{tmp_path / 'pictures'}"]
    flags += ["--train_split=all", f"--model_dir={tmp_path / 'student'}"]
    flags += ["--eval_dataset=digits", "--mode=train_then_eval"]
    assert run(*flags, tiny=False, export=False) == 0
    assert "no label is read; classes are the teacher's: 0, 1, 2, 3, 4" in capsys.readouterr().out
    described = json.loads((tmp_path / "student/simclr.json").read_text())
    assert described["class_names"] == [str(number) for number in range(10)]
    result = json.loads((tmp_path / "student/result.json").read_text())
    assert result["eval/examples"] == 355


def test_a_few_labels_beside_all_images(teacher: Path, run, tmp_path: Path, capsys) -> None:
    """Thirty labels, and all 1,442 images."""
    flags = [*three_steps(teacher), "--distill_weight=0.25", "--labels_per_class=3"]
    flags += ["--train_batch_size=256", "--train_summary_steps=1", f"--model_dir={tmp_path}"]
    assert run(*flags, tiny=False, export=False) == 0
    printed = capsys.readouterr().out
    assert "1,442 images" in printed
    assert "10 classes: " + ", ".join(f"{number} 3" for number in range(10)) in printed
    assert "0.25 of distillation, temperature 1, 0.75 of cross-entropy with labels" in printed
    for line in metrics_of(tmp_path):
        decay = line["train/weight_decay"]
        mixed = 0.25 * line["train/distillation_loss"] + 0.75 * line["train/supervised_loss"]
        assert line["train/total_loss"] == pytest.approx(mixed + decay, rel=1e-5)


def test_a_network_teaches_itself(teacher: Path, run, tmp_path: Path) -> None:
    """From its own weights, at the paper's temperature; its files are as they were."""
    before = find_weights(prefix_of(str(teacher), 300))
    flags = [*three_steps(teacher), f"--checkpoint={teacher}", "--ft_proj_selector=1"]
    flags = [flag for flag in flags if "width" not in flag and "proj_" not in flag]
    flags += ["--ft_proj_selector=1", "--distill_temperature=0.1", f"--model_dir={tmp_path}"]
    assert run(*flags, tiny=False, export=False) == 0
    started, ended = weights_of(teacher, "encoder"), weights_of(tmp_path, "encoder")
    assert started.keys() == ended.keys()
    assert any(not np.array_equal(started[key], ended[key]) for key in started)
    assert stored_fingerprint(before) == note_of(tmp_path)["fingerprint"]


def test_evaluation_of_a_student_needs_no_teacher(student: Path, run, tmp_path: Path) -> None:
    processes.keep_until(student, tmp_path / "student", step=3)
    config = tmp_path / "student/config.json"
    config.write_text(config.read_text().replace('"teacher": "/', '"teacher": "/gone/'))
    assert run("--mode=eval", f"--model_dir={tmp_path / 'student'}", tiny=False) == 0
    assert 0 <= top_1(tmp_path / "student") <= 1


def test_labels_are_hidden_and_no_image_is_lost() -> None:
    """What training reads: the labels of `few_labels`, and -1 at all others."""
    digits, split = data.load("digits"), "train[:300]"
    few = digits.few_labels(split, 4, seed=2)
    hidden = digits.few_of_its_labels(split, 4, seed=2)
    assert hidden.num_examples(split) == 300
    examples = list(hidden.read(split, shard=(1, 0), by_file=False, file_seed=None))
    labels = np.array([int(example["label"]) for example in examples])
    np.testing.assert_array_equal(labels, hidden.all_labels(split))
    assert np.bincount(labels[labels >= 0]).tolist() == [4] * 10
    known = {e["image"].numpy() for e, label in zip(examples, labels) if label >= 0}
    expected = few.read(split, shard=(1, 0), by_file=False, file_seed=None)
    assert known == {example["image"].numpy() for example in expected}
    unlabeled = digits.unlabeled_as(["a", "b"])
    assert unlabeled.class_names == ["a", "b"]
    assert set(unlabeled.all_labels(split)) == {-1}
