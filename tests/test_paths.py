"""What users' paths mean, and when two of them are one place."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from simclr_tf import paths, validation
from simclr_tf.config import parse
from simclr_tf.errors import SettingError, UserError

pytestmark = pytest.mark.smoke

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
AWKWARD = (
    *("lr[0.1]", "a*b?", "{x}", "a b", "-lead", "q'\"", "a,b", "$HOME", "#1", "back\\slash"),
    *("new\nline", COMPOSED, DECOMPOSED, "~", "~root", "gs:"),
)
PATH_FLAGS = {
    "model_dir": "{}",
    "checkpoint": "{}",
    "data_dir": "{}",
    "dataset": "folder:{}",
    "folder_labels": "{}",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, which is also the home folder's parent."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("a", "a"), ("a/", "a"), ("a//b///", "a/b"), ("./a/./b", "a/b"), ("a/../b", "b")),
        *(("/", "/"), ("//", "/"), ("//a", "/a"), ("/..", "/"), (".", "."), ("../", "..")),
        *(("gs://b//r/", "gs://b/r"), ("gs://b", "gs://b"), ("ram://a/../b/", "ram://a/../b")),
        *(("hdfs:///a//b", "hdfs:///a/b"), ("gs://b/~/[0]", "gs://b/~/[0]")),
        *(("a\\b\\", "a\\b\\"), ("./~", "./~"), ("./~/", "./~"), ("a/~", "a/~"), ("x:y", "x:y")),
    ],
)
def test_the_plain_form(given: str, meant: str, here: Path) -> None:
    assert paths.clean(given) == meant
    assert paths.clean(meant) == meant


def test_home_folders(here: Path) -> None:
    assert paths.clean("~") == str(here / "home")
    assert paths.clean("~/runs//a/") == str(here / "home/runs/a")
    assert paths.clean("~root/a") == os.path.expanduser("~root") + "/a"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "is empty; give a path"),
        ("~nobody-at-all/a", "is in nobody's home folder; write ./~nobody-at-all/a"),
        ("sur\udce9", "is not UTF-8"),
        ("gs://b/sur\udce9", "is not UTF-8"),
    ],
)
def test_what_is_no_path_is_one_line(given: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as raised:
        paths.clean(given)
    str(raised.value).encode()  # can be printed
    for name, form in PATH_FLAGS.items():
        with pytest.raises(SettingError, match=reason) as raised:
            parse([f"--{name}={form.format(given)}"])
        assert raised.value.field == name
        assert str(raised.value).startswith(f"`{name}={form.format('')}")


def test_up_from_a_link_is_where_it_points(here: Path) -> None:
    (here / "disk/data").mkdir(parents=True)
    (here / "link").symlink_to(here / "disk/data")
    (here / "disk/runs").mkdir()
    assert os.path.samefile(paths.clean("link/../runs"), "link/../runs")
    assert paths.clean("link/./") == "link"


@pytest.mark.parametrize(("stored", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_the_other_unicode_form_of_a_name_is_found(stored: str, asked: str, here: Path) -> None:
    (here / f"x{stored}/y{stored}").mkdir(parents=True)
    for base in ("", f"{here}/"):
        assert paths.clean(f"{base}x{asked}/y{asked}/new{asked}") == (
            f"{base}x{stored}/y{stored}/new{asked}"
        )
    (here / f"x{asked}").mkdir()  # there are two: each is what it is called
    assert paths.clean(f"x{asked}") == f"x{asked}"
    assert not paths.same_place(f"x{asked}", f"x{stored}")


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("flag", PATH_FLAGS)
def test_every_path_flag_by_every_awkward_name(flag: str, name: str, here: Path) -> None:
    """One name in all its spellings is one path, and the stored one holds from anywhere."""
    form = PATH_FLAGS[flag]
    (here / name).mkdir()
    (here / "linked").symlink_to(here / name)
    spellings = [f"./{name}", f"./{name}//", str(here / name), f"x/../{name}"]
    stored = {parse([f"--{flag}={form.format(s)}"]).to_json()[flag] for s in spellings}
    assert stored == {form.format(here / name)}
    value = parse([f"--{flag}={form.format(f'./{name}/')}"]).flat()[flag]
    assert os.path.samefile(value.removeprefix("folder:"), here / name)
    assert paths.same_place(f"./{name}/", "linked")
    other = unicodedata.normalize("NFD" if name == COMPOSED else "NFC", name)
    assert paths.same_place(f"./{other}", str(here / name))
    assert not paths.same_place(f"./{name}y", str(here / name))


def test_a_working_directory_that_is_gone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    assert paths.absolute("/a") == "/a"
    with pytest.raises(UserError, match="the working directory has been removed"):
        paths.absolute("a")


def test_words_are_no_paths(here: Path) -> None:
    stored = parse(["--dataset=cifar10/x:1.0", "--folder_labels=folders"]).to_json()
    assert (stored["dataset"], stored["folder_labels"]) == ("cifar10/x:1.0", "folders")
    assert (stored["data_dir"], stored["checkpoint"], stored["model_dir"]) == (None, None, "")


def test_one_place(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "home").mkdir()
    assert paths.same_place("~/new", f"{here}/home//new/")
    assert paths.same_place("gs://b/a/", "gs://b//a")
    assert not paths.same_place("gs://b/a", "b/a")
    assert paths.same_place(f"new{COMPOSED}", f"new{DECOMPOSED}")
    assert not paths.same_place("new", "newer")
    monkeypatch.chdir(here / "home")
    assert paths.same_place("new", "../home/new")
    assert paths.last_name(".") == "home"
    assert paths.last_name("/") == ""


@pytest.mark.parametrize("name", ["lr[0.1]", "back\\slash", "plain"])
def test_what_tensorflow_takes_for_a_pattern(name: str, here: Path) -> None:
    (here / name).mkdir()
    (here / name / "ckpt-1.index").touch()
    (here / f"{name}/{name}.index").touch()
    for path in (f"{name}/ckpt-1", f"{here / name}/ckpt-1", f"{name}/{name}"):
        found = paths.readable(path)
        assert not paths.is_taken_for_a_pattern(found)
        assert os.path.samefile(f"{found}.index", f"{path}.index")
        assert paths.readable(path) == found
    assert os.path.samefile(paths.readable(name), name)
    assert paths.readable("gs://b/[0]") == "gs://b/[0]"
    (here / name / "ckpt-2.index").touch()
    link = paths.readable(f"{name}/ckpt-2")
    assert os.path.exists(f"{link}.index")
    if name != "plain":
        os.remove(os.path.dirname(link))  # as a machine may that cleans its temporary folder
        assert os.path.exists(f"{paths.readable(f'{name}/ckpt-2')}.index")


@pytest.mark.parametrize("flag", ["model_dir", "checkpoint"])
def test_weights_on_a_remote_file_system(flag: str) -> None:
    with pytest.raises(SettingError, match="TensorFlow finds no weights"):
        validation.check(parse([f"--{flag}=gs://b/lr[0.1]"]))
    validation.check(parse([f"--{flag}=gs://b/lr0.1", "--dataset=folder:gs://b/[0]"]))
