"""Classes go by name: what a run and an evaluation do about others, and about missing labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simclr_tf import data
from simclr_tf.architecture import Architecture
from simclr_tf.checkpoints import Description
from simclr_tf.config import Config, parse
from simclr_tf.data.labels import LabelSample
from simclr_tf.errors import SettingError
from simclr_tf.runs.folder import describe_network, note_files
from simclr_tf.runs.labels import (
    check_few,
    choose_labels,
    choose_taught,
    labeled_only,
    name_classes,
    numbered_as_trained,
)
from simclr_tf.runs.plan import make_plan
from simclr_tf.runs.preparation import learned_from, open_evaluated

Open = Callable[..., data.ImageDataset]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Empty files: nobody opens them here. 20 each of bird, cat and dog."""
    root = tmp_path / "pictures"
    for name in ("bird", "cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(20):
            (root / name / f"{number}.png").touch()
    return root


@pytest.fixture
def open_(pictures: Path) -> Open:
    return lambda labels="folders": data.load(f"folder:{pictures}", folder_labels=labels)


def describe(
    names: tuple[str, ...] | None, count: int | None = 3, source: str = "folder:/elsewhere"
) -> Description:
    return Description(
        *(Architecture(), 8), train_mode=None, num_classes=count, dataset=source, class_names=names
    )


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., Config]:
    """Makes a run's folder with a checkpoint, of a network with these classes."""

    def start(names: tuple[str, ...] | None, *given: str, count: int | None = 3) -> Config:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / "ckpt-5.index").touch()
        (folder / "simclr.json").write_text(json.dumps(describe(names, count).to_json()))
        return parse([f"--model_dir={folder}", "--train_mode=finetune", *given])

    return start


def labels(dataset: data.ImageDataset, split: str = "all") -> list[int]:
    return [int(label) for s in dataset.sample_labels(split) for label in s.labels]


def named(dataset: data.ImageDataset) -> list[str]:
    names = dataset.class_names
    assert names is not None
    return [names[label] for label in labels(dataset)]


def test_a_run_keeps_its_numbers(open_: Open, started: Callable[..., Config]) -> None:
    classes, (dataset, notes) = choose_labels(started(("dog", "bird", "cat")), open_())
    assert (classes, dataset.class_names) == (3, ["dog", "bird", "cat"])
    assert notes == [f"{dataset.name}: classes keep the numbers the run gave them"]
    assert named(dataset) == named(open_())
    assert labels(dataset) != labels(open_())
    # What the run stores when it goes on, and exports, is its own order.
    config = parse([])
    assert describe_network(config, 3, dataset).class_names == ("dog", "bird", "cat")
    assert describe_network(config, None, dataset).class_names is None
    assert choose_labels(started(("bird", "cat", "dog")), open_())[1][1] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "bird").rename(root / "owl"), r"\(new: owl, gone: bird\)"),
        (lambda root: shutil.copytree(root / "dog", root / "elk"), r"\(new: elk\)"),
        (lambda root: shutil.rmtree(root / "cat"), r"\(gone: cat\)"),
        (lambda root: [shutil.rmtree(root / n) for n in ("cat", "dog")], r"\(gone: cat, dog\)"),
    ],
)
@pytest.mark.parametrize("mode", ["--train_mode=finetune", "--train_mode=pretrain"])
def test_a_run_of_other_classes_is_one_line(
    mode: str, change, said: str, pictures: Path, open_: Open, started: Callable[..., Config]
) -> None:
    change(pictures)
    config = started(("bird", "cat", "dog"), mode)
    with pytest.raises(SettingError, match=said) as caught:
        choose_labels(config, open_())
    folder = config.task.model_dir
    assert str(caught.value).startswith(f"`model_dir={folder}` holds a run of other classes")
    assert f"`checkpoint={folder}` to start from its weights" in str(caught.value)
    assert "remove" not in str(caught.value)
    # Before it has a checkpoint there is nothing that classes could have been learned by.
    (Path(folder) / "ckpt-5.index").unlink()
    if len(open_().class_names or []) > 1:
        assert choose_labels(config, open_())[1][0].class_names == open_().class_names


def test_a_run_that_stored_no_names_goes_by_position(
    open_: Open, started: Callable[..., Config]
) -> None:
    classes, (dataset, notes) = choose_labels(started(None), open_())
    assert (classes, labels(dataset)) == (3, labels(open_()))
    assert notes == ["the run did not store its classes' names, they go by position"]
    with pytest.raises(SettingError, match=r"\(4 then, 3 now\)"):
        choose_labels(started(None, count=4), open_())


def test_pretraining_keeps_the_head_that_it_has(
    open_: Open, started: Callable[..., Config], pictures: Path
) -> None:
    without = started(None, "--train_mode=pretrain", count=None)
    assert choose_labels(without, open_())[0] is None
    with pytest.raises(SettingError, match="was pre-trained without a linear probe"):
        choose_labels(without.replace(mode="train_then_eval"), open_())
    one = started(("bird",), "--train_mode=pretrain", count=1)
    for name in ("cat", "dog"):
        shutil.rmtree(pictures / name)
    assert choose_labels(one, open_())[0] == 1


def test_pretraining_leaves_the_probe_out_where_it_could_learn_nothing(
    open_: Open, pictures: Path, tmp_path: Path
) -> None:
    new = ["--train_mode=pretrain", f"--model_dir={tmp_path / 'new'}"]
    assert choose_labels(parse(new), open_())[0] == 3
    assert choose_labels(parse([*new, "--lineareval_while_pretraining=false"]), open_())[0] is None
    assert choose_labels(parse(new), open_("none"))[0] is None
    for name in ("cat", "dog"):
        shutil.rmtree(pictures / name)
    classes, (dataset, notes) = choose_labels(parse(new), open_())
    assert (classes, dataset.num_examples("all")) == (None, 20)
    assert notes[0].startswith("no online linear probe of train: all labels are of one class, bird")
    for given in ("--mode=train_then_eval", "--lineareval_while_pretraining"):
        with pytest.raises(SettingError, match="`train_split=train`: all labels are of one class"):
            choose_labels(parse([*new, given, "--eval_split=validation"]), open_())


def test_pretraining_uses_all_and_the_rest_what_has_a_label(
    open_: Open, pictures: Path, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    rows = [f"{name}/{i}.png,{name}\n" for name in ("bird", "cat") for i in range(10)]
    table.write_text("path,label\n" + "".join(rows))
    flags = ["--train_split=all", f"--model_dir={tmp_path / 'new'}"]
    classes, (dataset, notes) = choose_labels(parse(flags), open_(str(table)))
    assert (classes, dataset.num_examples("all")) == (2, 60)
    said = f"folder:{pictures}: 20 of the 60 images of all have a label; "
    assert notes == [f"{said}the online probe leaves out the others"]
    for dataset, notes in (
        choose_labels(parse([*flags, "--train_mode=finetune"]), open_(str(table)))[1],
        labeled_only(open_(str(table)), {"train_split": "all", "eval_split": "all"}),
    ):
        assert dataset.num_examples("all") == 20
        assert notes == [f"{said}the others are left out"]


def test_a_part_without_labels_is_refused_where_labels_are_needed(open_: Open, monkeypatch) -> None:
    dataset = open_()
    parts = [LabelSample("train", np.array([0, 1]), 2), LabelSample("bare", np.full(9, -1), 90)]
    monkeypatch.setattr(dataset, "sample_labels", lambda split: parts)
    with pytest.raises(
        SettingError, match="^`train_split=train.bare`: none of the first 9 images "
    ):
        labeled_only(dataset, {"train_split": "train+bare"})


def test_evaluation_goes_by_name(open_: Open, pictures: Path) -> None:
    shutil.rmtree(pictures / "cat")
    network = describe(("dog", "cat", "bird"))
    dataset, notes = numbered_as_trained(open_(), network, "`checkpoint=x`")
    assert set(labels(dataset)) == {0, 2}
    assert named(dataset) == named(open_())
    assert notes == [f"folder:{pictures}: classes go by the network's names, 2 of its 3"]
    assert numbered_as_trained(open_(), describe(("bird", "dog"), 2), "")[1] == []
    with pytest.raises(
        SettingError, match="classes that `checkpoint=x` does not know: bird; .* it knows dog, elk"
    ):
        numbered_as_trained(open_(), describe(("dog", "elk"), 2), "`checkpoint=x`")


def test_names_that_nobody_gave_go_by_position(open_: Open, pictures: Path) -> None:
    """Old runs have none, and TensorFlow Datasets numbers classes that it has no names of."""
    for network in (describe(None), describe(("0", "1", "2"), source="mnist")):
        dataset, notes = numbered_as_trained(open_(), network, "`checkpoint=x`")
        assert labels(dataset) == labels(open_())
        assert notes == [f"folder:{pictures}: no names in common, classes go by position"]
    for network in (describe(None, 4), describe(("0", "1", "2", "3"), 4, source="mnist")):
        with pytest.raises(SettingError, match="has 3 classes, `checkpoint=x` 4"):
            numbered_as_trained(open_(), network, "`checkpoint=x`")
    # Folders with such names are named so.
    with pytest.raises(SettingError, match="does not know: bird, cat, dog"):
        numbered_as_trained(open_(), describe(("0", "1", "2")), "`checkpoint=x`")
    digits = data.load("digits")
    assert numbered_as_trained(digits, describe(None, 10, "digits"), "") == (digits, [])
    names = tuple(str(number) for number in (*range(5, 10), *range(5)))
    dataset, _ = numbered_as_trained(digits, describe(names, 10), "")
    assert dataset.class_names == list(names)


def test_a_changed_folder_is_said_as_it_is(
    open_: Open, pictures: Path, tmp_path: Path, capsys
) -> None:
    config = parse([f"--model_dir={tmp_path / 'run'}", f"--dataset=folder:{pictures}"])
    (tmp_path / "run").mkdir()
    for _ in range(2):
        note_files(config, open_())
        assert capsys.readouterr().out == ""
    for number in range(7):
        (pictures / "cat" / f"{number}.png").unlink()
    note_files(config, open_())
    assert "60 files then, 53 now" in capsys.readouterr().out


def test_a_warm_up_that_has_grown_too_long_says_why() -> None:
    config = parse(["--train_steps=10", "--warmup_epochs=2", "--train_batch_size=16"])
    numbers = {"num_classes": None, "replicas": 1}
    assert make_plan(config, train_examples=60, **numbers, continued=True).warmup_steps == 7
    for continued, remedy in ((False, "give fewer, or train"), (True, "leave the new ones out")):
        with pytest.raises(SettingError, match=f"warmup_epochs=2` is 12 steps.*{remedy}"):
            make_plan(config, train_examples=96, **numbers, continued=continued)


def test_classes_are_named_with_their_counts(open_: Open, pictures: Path) -> None:
    (pictures / "cat" / "0.png").unlink()
    assert name_classes(open_(), "all") == (
        f"folder:{pictures}, all: 3 classes: bird 20, cat 19, dog 20"
    )
    digits = data.load("digits")
    assert name_classes(digits, "test") == "digits, test: 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def test_few_labels_of_each_class(open_: Open, pictures: Path) -> None:
    flags = ["--train_mode=finetune", "--train_split=all"]
    for path in sorted((pictures / "cat").iterdir())[3:]:
        path.unlink()
    for wanted, counts, notes in (
        (2, [2, 2, 2], []),
        (5, [5, 3, 5], [f"folder:{pictures}, all: fewer than 5 labels of cat (3)"]),
    ):
        config = parse([*flags, f"--labels_per_class={wanted}"])
        few = learned_from(config, open_())
        assert np.bincount(labels(few)).tolist() == counts
        assert check_few(config, few) == notes
    assert check_few(parse(flags), open_()) == []
    config = parse([*flags, "--labels_per_class=2", "--train_split=train[:1]"])
    few = learned_from(config, open_())
    with pytest.raises(SettingError, match="`labels_per_class=2`: no image of train.:1. has the"):
        check_few(config, few)


def test_a_student_learns_from_all_images_and_few_labels(open_: Open) -> None:
    """Those that fine-tuning learns from, with the same seed."""
    flags = ["--train_split=all", "--labels_per_class=2", "--distill_weight=0.5", "--teacher=x"]
    config = parse([*flags, "--train_mode=distill"])
    names = ("dog", "bird", "cat")
    taught, _ = choose_taught(config, open_(), describe(names))
    few = learned_from(config.replace(train_mode="finetune"), taught)
    hidden = learned_from(config, taught)
    assert hidden.num_examples("all") == 60
    found, paths = hidden.all_labels("all"), hidden.image_names("all")
    assert np.bincount(found[found >= 0]).tolist() == [2, 2, 2]
    known = {path: names[label] for path, label in zip(paths, found) if label >= 0}
    assert list(known) == few.image_names("all")
    assert all(path.startswith(f"{name}/") for path, name in known.items())
    unlabeled, notes = choose_taught(config.replace(distill_weight=1.0), open_(), describe(names))
    assert unlabeled.class_names == list(names)
    assert set(unlabeled.all_labels("all")) == {-1}
    assert notes[0].endswith("no label is read; classes are the teacher's: dog, bird, cat")


def test_another_data_set_to_evaluate_on_goes_by_name(
    open_: Open, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(pictures, other)
    shutil.rmtree(other / "bird")
    given = [f"--dataset=folder:{pictures}", f"--eval_dataset=folder:{other}", "--eval_split=all"]
    config = parse([*given, "--folder_labels=folders"])
    network = describe(("dog", "bird", "cat"))
    dataset, notes = open_evaluated(config, network, "`dataset=x`")
    assert (dataset.name, dataset.num_examples("all")) == (f"folder:{other}", 40)
    assert sorted(labels(dataset)) == [0] * 20 + [2] * 20
    assert notes[-1] == f"folder:{other}, all: 3 classes: dog 20, bird 0, cat 20"
    for change, match in (
        ({"eval_dataset": "folder:/no/such"}, "`eval_dataset=folder:/no/such`: /no/such does not"),
        ({"folder_labels": "none"}, f"`eval_dataset=folder:{other}` has no class labels"),
        ({"eval_split": "test"}, "`eval_split=test`: Unknown split"),
    ):
        with pytest.raises(SettingError, match=match):
            open_evaluated(config.replace(**change), network, "`dataset=x`")
    with pytest.raises(SettingError, match="`eval_dataset=.*` has classes that `dataset=x` does"):
        open_evaluated(config, describe(("dog", "bird"), 2), "`dataset=x`")
    # A table beside the pictures of each.
    for root, label in ((pictures, "dog"), (other, "cat")):
        (root / "labels.csv").write_text(f"path,label\ndog/1.png,{label}\n")
    dataset, _ = open_evaluated(config.replace(folder_labels="labels.csv"), network, "")
    assert labels(dataset) == [2]
    mine = str(pictures / "labels.csv")
    assert labels(open_evaluated(config.replace(folder_labels=mine), network, "")[0]) == [2]
    far = shutil.move(mine, tmp_path / "far.csv")
    assert labels(open_evaluated(config.replace(folder_labels=str(far)), network, "")[0]) == [0]


def test_a_loss_of_classes_needs_them_also_without_a_probe(open_: Open) -> None:
    for probe in ("", "no"):
        config = parse(["--loss=supcon", f"--{probe}lineareval_while_pretraining"])
        with pytest.raises(SettingError) as caught:
            choose_labels(config, open_("none"))
        assert str(caught.value).startswith(
            "`loss=supcon` learns from classes, and `dataset=folder:"
        )
        assert str(caught.value).endswith(", or take `loss=nt_xent`")
    assert choose_labels(config, open_())[0] is None  # there are classes, and no probe is wanted
