"""Recipes by name, and files by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_tf import packaged_recipes
from simclr_tf.config import parse
from simclr_tf.errors import SettingError

pytestmark = pytest.mark.smoke

QUICKSTART = str(packaged_recipes.FOLDER / "quickstart.flags")


@pytest.mark.parametrize("name", ["quickstart", "quickstart.flags", "flags/quickstart.flags"])
@pytest.mark.parametrize("form", ["--flagfile={}", "-flagfile={}", "--flagfile {}"])
def test_a_recipe_is_found_from_anywhere(name, form, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = form.format(name).split()
    assert packaged_recipes.find_recipes(arguments)[-1].endswith(QUICKSTART)
    config = parse([*arguments, "--temperature=0.7"])
    assert (config.data.dataset, config.loss.temperature) == ("digits", 0.7)


def test_a_file_that_is_there_comes_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("--temperature=0.9")
    assert parse(["--flagfile=quickstart"]).loss.temperature == 0.9


def test_what_is_neither_is_one_line_with_all_recipes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="`flagfile=x/y.flags`: no such file; ") as caught:
        parse(["--flagfile=x/y.flags"])
    for recipe in packaged_recipes.FOLDER.glob("*.flags"):
        assert recipe.stem in str(caught.value)


def test_other_arguments_stay_as_they_are() -> None:
    arguments = ["--dataset=quickstart", "quickstart", "--model_dir", "quickstart"]
    assert packaged_recipes.find_recipes(arguments) == arguments
