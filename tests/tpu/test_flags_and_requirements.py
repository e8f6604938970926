"""tpu.flags composes with every recipe; the TPU's pins are the project's, TensorFlow apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simclr_tf.config import parse

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "flags").glob("*.flags"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_on_a_tpu_is_the_recipe_but_for_the_hardware(recipe: Path) -> None:
    plain = parse([f"--flagfile={recipe}"])
    on_tpu = parse([f"--flagfile={recipe}", f"--flagfile={ROOT / 'tpu/tpu.flags'}"])
    assert (on_tpu.hardware.use_tpu, on_tpu.hardware.precision) == (True, "bfloat16")
    before, after = plain.to_json(), on_tpu.to_json()
    changed = {name for name, value in before.items() if after[name] != value}
    assert changed == {"use_tpu", "precision"}


def pins(name: str) -> dict[str, Requirement]:
    lines = (line.split(" #")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") for pin in found)
    return {pin.name + str(pin.marker or ""): pin for pin in found}


def test_pins_are_those_of_the_project() -> None:
    project = pins("requirements.txt")
    own = pins("tpu/requirements-tpu.txt")
    assert set(own) - set(project) == {"tensorflow-tpu", "libtpu"}
    for name in set(own) & set(project):
        assert str(own[name]) == str(project[name])
    assert "tensorflow" not in {pin.name for pin in own.values()}


def test_keras_2_is_of_tensorflows_version_and_comes_without_tensorflow() -> None:
    keras = pins("tpu/requirements-tpu-no-deps.txt")
    assert set(keras) == {"tf-keras"}
    tensorflow = pins("tpu/requirements-tpu.txt")["tensorflow-tpu"]
    versions = [str(pin.specifier).strip("=").split(".") for pin in (keras["tf-keras"], tensorflow)]
    assert versions[0][:2] == versions[1][:2]
