"""Two steps of every file in flags/, on the bundled digits in place of the recipe's own data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "flags").glob("*.flags"))
FAMILIES = ("quickstart", "cifar10_cpu", "cifar10", "imagenet_r50", "fashion_mnist", "laptop")
SMALL = [
    "--dataset=digits",
    "--train_split=train",
    "--eval_split=test[:8]",
    "--train_batch_size=4",
    "--eval_batch_size=4",
    "--train_steps=2",
    "--warmup_epochs=0",
]
# Of 224 pixels: what is above 32 has the same stem.
SMALLER = {"imagenet_r50": ["--image_size=64"]}
HEADER_MUST_SAY = ("python -m simclr_tf.run", "Hardware:", "Expected:", "Observed here:")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_header(recipe: Path) -> None:
    header = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
    for words in HEADER_MUST_SAY:
        assert any(words in line for line in header), words


def family_of(recipe: Path) -> str:
    """Returns the first family that its name begins with."""
    return next(family for family in FAMILIES if recipe.stem.startswith(family))


def mode_of(recipe: Path) -> str:
    found = re.search(r"^--train_mode=(\w+)$", recipe.read_text(), re.M)
    return found[1] if found else "pretrain"


@pytest.mark.parametrize("family", FAMILIES)
def test_two_steps_of_every_recipe(family: str, run, tmp_path) -> None:
    """Pre-training first, then what is fine-tuned from it, then what that teaches."""
    recipes = [path for path in RECIPES if family_of(path) == family]
    assert recipes
    recipes.sort(key=lambda path: ("pretrain", "finetune", "distill").index(mode_of(path)))
    folders = {mode_of(recipe): tmp_path / recipe.stem for recipe in recipes}
    for recipe in recipes:
        flags = [f"--flagfile={recipe}", *SMALL, *SMALLER.get(family, ())]
        flags.append(f"--model_dir={tmp_path / recipe.stem}")
        if mode_of(recipe) == "finetune":
            flags.append(f"--checkpoint={folders['pretrain']}")
        if mode_of(recipe) == "distill":
            flags.append(f"--teacher={folders['finetune']}")
        assert run(*flags, tiny=False) == 0, recipe
        assert (tmp_path / recipe.stem / "saved_model/2/saved_model.pb").exists()
        written = json.loads((tmp_path / recipe.stem / "config.json").read_text())
        assert written["train_steps"] == 2


def test_every_recipe_belongs_to_a_tested_family() -> None:
    assert all(path.stem.startswith(FAMILIES) for path in RECIPES)
