"""A run on pictures whose names are HTML, and its report."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import TINY

CLASSES = {
    0: "<b>zero</b>",
    1: "</script><script>document.title='one'</script>",
    2: 'it\'s "2" & more',
}
"""No name of a file may hold a slash: the second one's are full width."""


def class_folder(digit: int) -> str:
    return CLASSES[digit].replace("/", "\N{FULLWIDTH SOLIDUS}")


def data_of(page: Path) -> dict[str, Any]:
    """Returns what the script of a page is given."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Sixty digits of three classes in folders by class, one of them no picture."""
    root = tmp_path_factory.mktemp("pictures")
    digits = load_digits(n_class=3)
    for number in range(60):
        folder = root / class_folder(int(digits.target[number]))
        folder.mkdir(exist_ok=True)
        pixels = (digits.images[number] * 15).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"<img src=x onerror=alert({number})>&.png")
    (root / class_folder(0) / "broken.png").write_bytes(b"none")
    return root


@pytest.fixture(scope="session")
def report_of(run_here) -> Callable[..., Path]:
    """Makes the report of a run and returns its page."""

    def call(run: Path, *flags: object, name: str = "report.html") -> Path:
        page = run / name
        assert run_here("--mode=report", f"--model_dir={run}", f"--output={page}", *flags) == 0
        return page

    return call


@pytest.fixture(scope="session")
def run_on_pictures(run_here, pictures, tmp_path_factory) -> Path:
    """A run of four steps."""
    folder = tmp_path_factory.mktemp("run") / "<i>run</i>".replace("/", "\N{FULLWIDTH SOLIDUS}")
    flags = [flag for flag in TINY if not flag.startswith(("--dataset", "--eval_split"))]
    own = [f"--dataset=folder:{pictures}", "--folder_labels=folders", "--eval_split=train[:50%]"]
    training = ["--train_steps=4", f"--model_dir={folder}"]
    assert run_here(*flags, *own, *training, export=False) == 0
    return folder


@pytest.fixture(scope="session")
def page_of_pictures(run_on_pictures, report_of) -> Path:
    return report_of(run_on_pictures)


@pytest.fixture(scope="session")
def page_without_labels(run_on_pictures, report_of, tmp_path_factory) -> Path:
    """Of the same run, if it had read no labels."""
    folder = tmp_path_factory.mktemp("unlabeled") / "run"
    shutil.copytree(run_on_pictures, folder, ignore=shutil.ignore_patterns("*.html"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"folder_labels": "none"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").unlink()
    (folder / "environment.json").unlink()
    return report_of(folder)
