"""A run goes on although its pictures, labels or initial weights lie elsewhere now."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from simclr_tf import data, files
from simclr_tf.checkpoints import find_weights
from simclr_tf.config import Config, parse
from simclr_tf.errors import SettingError
from simclr_tf.runs import folder, identity, moved
from simclr_tf.runs.initial_weights import open_initial_weights
from simclr_tf.runs.preparation import open_dataset
from simclr_tf.workflows import export
from tests.checkpoints.small import save, small_network

FORMS = ("{here}/{name}", "{name}", "./{name}//", "../{parent}/{name}", "link")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spellings(path: Path) -> list[str]:
    """Returns names of one place; the working directory is the folder that it lies in."""
    link = path.parent / "link"
    link.symlink_to(path)
    words = {"here": path.parent, "name": path.name, "parent": path.parent.name}
    return [form.format(**words) for form in FORMS]


def start(config: Config, run: Path) -> dict[str, object]:
    """Writes what a run in its folder writes first, and returns its config.json."""
    run.mkdir(exist_ok=True)
    (run / "config.json").write_text(json.dumps(config.to_json()))
    if config.data.dataset.startswith("folder:"):
        labels = config.data.folder_labels
        folder.note_files(config, data.load(config.data.dataset, folder_labels=labels))
    if config.task.checkpoint:
        moved.note_initial_weights(str(run), find_weights(config.task.checkpoint))
    return config.to_json()


@pytest.fixture
def pictures(here: Path) -> Path:
    root = here / "own [pictures]"
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_one_folder_in_all_its_spellings(pictures: Path, here: Path, capsys) -> None:
    def config(path: object) -> Config:
        return parse([f"--dataset=folder:{path}", f"--model_dir={here / 'run'}"])

    for stored in (start(config(pictures), here / "run"), {"dataset": f"folder:{pictures.name}//"}):
        for path in spellings(pictures):
            identity.check_same_run(config(path), stored)
        (here / "link").unlink()
    assert capsys.readouterr().out == ""


def test_pictures_that_have_moved(pictures: Path, here: Path, capsys) -> None:
    def config(path: Path) -> Config:
        return parse([f"--dataset=folder:{path}", f"--model_dir={here / 'run'}"])

    stored = start(config(pictures), here / "run")
    now = pictures.rename(here / "elsewhere")
    identity.check_same_run(config(now), stored)
    line = f"dataset has moved from folder:{pictures} to folder:{now}; its content is the same\n"
    assert capsys.readouterr().out == line
    (now / "b/3.png").rename(now / "b/4.png")
    with pytest.raises(SettingError, match="holds a run with dataset=folder:.*, not folder:"):
        identity.check_same_run(config(now), stored)
    with pytest.raises(SettingError, match="nowhere does not exist"):
        identity.check_same_run(config(here / "nowhere"), stored)
    # Evaluation, which takes what is not given from the run, keeps what is given.
    (now / "b/4.png").rename(now / "b/3.png")
    asked = parse(["--mode=eval", f"--model_dir={here / 'run'}", f"--dataset=folder:{now}"])
    assert identity.adopt_run(asked, stored).data.dataset == f"folder:{now}"
    (here / "run/folder.json").write_text("{")
    with pytest.raises(SettingError, match="holds a run with dataset"):
        identity.check_same_run(config(now), stored)


def test_labels_that_have_moved(pictures: Path, here: Path) -> None:
    def config(labels: object) -> Config:
        common = [f"--dataset=folder:{pictures}", f"--model_dir={here / 'run'}"]
        return parse([*common, f"--folder_labels={labels}"])

    table = here / "labels.csv"
    table.write_text("path,label\na/1.png,x\na/2.png,x\nb/3.png,y\n")
    stored = start(config(table), here / "run")
    for path in spellings(table):
        identity.check_same_run(config(path), stored)
    now = table.rename(here / "renamed.csv")
    identity.check_same_run(config(now), stored)
    now.write_text(now.read_text().replace("y", "z"))
    for other in (now, "folders", "none", here / "gone.csv"):
        with pytest.raises(SettingError, match="holds a run with folder_labels="):
            identity.check_same_run(config(other), stored)


@pytest.fixture(scope="module")
def initial(tmp_path_factory) -> Path:
    return save(small_network(), tmp_path_factory.mktemp("initial"))


@pytest.fixture
def tuned(initial: Path, here: Path) -> Path:
    """What a run from a checkpoint leaves: its configuration and a checkpoint of its own."""
    shutil.copytree(initial, here / "initial")
    run = here / "run [1]"
    start(open_initial_weights(asked(run, here / "initial"))[0], run)
    (run / "ckpt-3.index").touch()
    return run


def asked(run: Path, checkpoint: object, *more: str) -> Config:
    given = [f"--checkpoint={checkpoint}"] if checkpoint else []
    return parse(["--train_mode=finetune", "--dataset=digits", f"--model_dir={run}", *given, *more])


def test_initial_weights_may_be_left_out_or_be_gone(tuned: Path, here: Path) -> None:
    stored = folder.stored_config(str(tuned))
    architecture = find_weights("initial").description.architecture
    (here / "initial").rename(here / "gone")
    for checkpoint in (None, "initial", f"{here}//initial/"):
        config, weights = open_initial_weights(asked(tuned, checkpoint))
        assert weights is None
        assert config.architecture == architecture
        assert config.data.image_size == 16
        identity.check_same_run(config, stored)
        assert config.to_json()["checkpoint"] == str(here / "initial")
    config, _ = open_initial_weights(asked(tuned, None, "--resnet_depth=34"))
    with pytest.raises(SettingError, match="resnet_depth=18, not 34"):
        identity.check_same_run(config, stored)
    # It is needed while the run has no checkpoint of its own.
    (tuned / "ckpt-3.index").unlink()
    with pytest.raises(SettingError, match="does not exist"):
        open_initial_weights(asked(tuned, "initial"))


def test_initial_weights_may_be_named_anew(tuned: Path, here: Path, capsys) -> None:
    stored = folder.stored_config(str(tuned))
    (here / "initial").rename(here / "named anew")
    for source in ("named anew", "named anew/ckpt-7"):
        config, _ = open_initial_weights(asked(tuned, source))
        identity.check_same_run(config, stored)
        assert capsys.readouterr().out == (
            f"checkpoint has moved from {here / 'initial'} to {here / source}; "
            "its content is the same\n"
        )
    save(small_network(seed="other"), here / "other")
    config, _ = open_initial_weights(asked(tuned, "other"))
    with pytest.raises(SettingError, match="holds a run with checkpoint=.*initial, not .*other"):
        identity.check_same_run(config, stored)
    config, _ = open_initial_weights(asked(tuned, "no such"))
    with pytest.raises(SettingError, match="no such` does not exist"):
        identity.check_same_run(config, stored)
    (tuned / moved.INITIAL_WEIGHTS).unlink()  # a run of version 0.1
    config, _ = open_initial_weights(asked(tuned, "named anew"))
    with pytest.raises(SettingError, match="holds a run with checkpoint="):
        identity.check_same_run(config, stored)


def test_new_folders_of_one_second_differ(here: Path) -> None:
    def choose(*flags: str) -> str:
        return folder.choose_model_dir(parse([*flags, "--train_mode=finetune"])).task.model_dir

    chosen = {choose("--dataset=digits") for _ in range(50)}
    assert len(chosen) == 50
    assert all(name.startswith("runs/finetune_digits_resnet50_") for name in chosen)
    assert choose("--dataset=folder:/home/me/own [é] pictures/").startswith(
        "runs/finetune_own__é__pictures_resnet50_"
    )
    assert choose("--dataset=cifar10/x:1.0").startswith("runs/finetune_cifar10_x_1.0_resnet50_")
    assert choose("--dataset=folder:/").startswith("runs/finetune_root_resnet50_")
    assert os.listdir(here) == []


@pytest.mark.parametrize("model_dir", ["initial", "./initial//", "link"])
def test_export_into_the_run_by_another_name(model_dir: str, tuned: Path, here: Path) -> None:
    (here / "link").symlink_to(here / "initial")
    files.write_json(str(here / "initial/config.json"), {})
    run = export._run_of(find_weights("initial/ckpt-7"))
    assert run == str(here / "initial")
    assert export._choose_folder(parse([f"--model_dir={model_dir}"]), run)
    with pytest.raises(SettingError, match="holds another run than that of"):
        export._choose_folder(parse([f"--model_dir={tuned}"]), run)


def test_labels_beside_the_pictures_move_with_them(pictures: Path, here: Path, capsys) -> None:
    (pictures / "labels.csv").write_text("path,label\na/1.png,x\nb/3.png,y\n")

    def config(path: Path) -> Config:
        given = [f"--dataset=folder:{path}", "--folder_labels=labels.csv"]
        return folder.choose_model_dir(parse([*given, f"--model_dir={here / 'run'}"]))

    found = config(pictures)
    assert found.data.folder_labels == f"{pictures}/labels.csv"
    stored = start(found, here / "run")
    assert stored["folder_labels"] == f"{pictures}/labels.csv"
    now = pictures.rename(here / "elsewhere")
    config(now)
    assert "folder_labels has moved" in capsys.readouterr().out
    # What evaluates takes the pictures from the run, and finds the file beside those.
    now.rename(pictures)
    asked = parse(["--mode=eval", f"--model_dir={here / 'run'}", "--folder_labels=labels.csv"])
    assert identity.adopt_run(asked, stored).data.folder_labels == f"{pictures}/labels.csv"
    (pictures / "labels.csv").write_text("path,label\na/1.png,y\nb/3.png,x\n")
    pictures.rename(now)
    with pytest.raises(SettingError, match="holds a run with folder_labels="):
        config(now)


def test_a_run_goes_on_with_the_splits_that_it_began_with(here: Path) -> None:
    root = here / "pictures"
    for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    config = parse([f"--dataset=folder:{root}", f"--model_dir={here / 'run'}"])
    run = here / "run"

    def splits() -> dict[str, int]:
        return open_dataset(config, run=str(run)).splits

    assert splits() == {"train": 2, "test": 1}
    start(config, run)
    assert splits() == {"train": 2, "test": 1}
    (root / "more").mkdir()
    shutil.copy(root / "train/a/1.png", root / "more/1.png")
    with pytest.raises(SettingError, match="took its splits from folders such as .*now more lies"):
        splits()
    shutil.rmtree(root / "more")
    # Versions that did not write it down took such folders for classes.
    note = json.loads((run / "folder.json").read_text())
    assert note.pop("split_folders") is True
    (run / "folder.json").write_text(json.dumps(note))
    assert splits().keys() == {"train", "validation"}
    (run / "folder.json").unlink()
    assert splits() == {"train": 2, "test": 1}
    (run / "ckpt-1.index").touch()
    assert splits().keys() == {"train", "validation"}
