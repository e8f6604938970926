"""The recipes of `flags/`, which the wheel brings along, by name. No TensorFlow here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from simclr_tf.errors import SettingError

FOLDER = Path(__file__).parent / "recipes"  # in a clone a link to flags/
_FLAG = "--flagfile"


def find_recipes(arguments: Sequence[str]) -> list[str]:
    """Returns a command line whose `--flagfile`s are files.

    A file that is there is taken as it is. Otherwise the name counts: `flags/quickstart.flags`,
    `quickstart.flags` and `quickstart` are the recipe of that name.

    Raises:
      SettingError: there is neither such a file nor such a recipe.
    """
    found = []
    follows = False
    for argument in arguments:
        name, _, value = argument.partition("=")
        if follows:
            argument, follows = _file_of(argument), False
        elif name in (_FLAG, _FLAG[1:]) and value:
            argument = f"{_FLAG}={_file_of(value)}"
        else:
            follows = argument in (_FLAG, _FLAG[1:])
        found.append(argument)
    return found


def _file_of(path: str) -> str:
    if os.path.isfile(os.path.expanduser(path)):
        return path
    recipes = {recipe.stem: str(recipe) for recipe in sorted(FOLDER.glob("*.flags"))}
    name = os.path.basename(path).removesuffix(".flags")
    if name not in recipes:
        raise SettingError(
            "flagfile", path, ": no such file", f"or give one of the recipes: {', '.join(recipes)}"
        )
    return recipes[name]
