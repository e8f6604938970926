"""A run's checkpoints by name: listed without patterns, settled after a kill at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_tf.checkpoints import numbered

pytestmark = pytest.mark.smoke

DATA = "data-00000-of-00001"
ASIDE = f"ckpt-7.{'0f' * 16}"


def write(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


@pytest.mark.parametrize("name", ["run", "lr[0.1]", "a*b?", "{x,y}", "é ü"])
def test_a_folders_name_is_no_pattern(name, tmp_path: Path) -> None:
    folder = tmp_path / name
    assert numbered.list_steps(str(folder)) == []
    write(folder, "ckpt-10.index", f"ckpt-10.{DATA}", "ckpt-9.index", f"ckpt-11.{DATA}", "ckpt-1")
    write(folder, "ckpt-10.index.bak", "model.ckpt-3.index")
    assert numbered.list_steps(str(folder)) == [9, 10]
    numbered.remove(str(folder), 10)
    assert numbered.list_steps(str(folder)) == [9]
    assert not (folder / f"ckpt-10.{DATA}").exists()
    assert (folder / f"ckpt-11.{DATA}").exists()
    numbered.move(str(folder), "ckpt-9", "ckpt-8")
    assert (folder / "ckpt-8.index").read_text() == "ckpt-9.index"


def test_empty_is_what_holds_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    assert numbered.is_empty(str(tmp_path / "none"))
    write(tmp_path, "config.json", "checkpoint", f"{ASIDE}.{DATA}")
    assert numbered.is_empty(str(tmp_path))
    write(tmp_path, f"ckpt-5.{DATA}")
    assert not numbered.is_empty(str(tmp_path))


@pytest.mark.parametrize(
    ("left", "becomes"),
    [
        ([f"{ASIDE}.{DATA}"], []),  # killed while the data were written
        ([f"{ASIDE}.{DATA}", f"{ASIDE}.index"], [f"ckpt-7.{DATA}", "ckpt-7.index"]),  # before names
        ([f"ckpt-7.{DATA}", f"{ASIDE}.index"], [f"ckpt-7.{DATA}", "ckpt-7.index"]),  # between them
    ],
)
def test_what_was_begun_is_ended_or_removed(left, becomes, tmp_path: Path) -> None:
    write(tmp_path, *left, "ckpt-5.index", f"ckpt-5.{DATA}")
    write(tmp_path / f"{ASIDE}_temp", "part-00000-of-00001.index")
    numbered.settle(str(tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*becomes, "ckpt-5.index", f"ckpt-5.{DATA}"}
    numbered.settle(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == names
