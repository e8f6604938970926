"""The package as a library: what README and docs/library.md print runs, and imports are quick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import simclr_tf
from tests.documentation import ROOT, blocks

THIS = "tests/test_library.py::test_what_is_printed_runs"


@pytest.mark.smoke
def test_what_is_printed_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as in one notebook, on a folder of eight pictures."""
    (tmp_path / "pictures").mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        pixels = random.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    printed = [*blocks(ROOT / "README.md"), *blocks(ROOT / "docs" / "library.md")]
    notebook: dict[str, object] = {}
    for block in printed:
        if THIS in block.tests and not block.needs:
            exec(compile(block.text, str(block), "exec"), notebook)
    assert notebook["features"].shape == (8, 1280)
    assert notebook["model"].optimizer.iterations == 10
    top_1 = notebook["history"].history["val_eval/label_top_1_accuracy"]
    assert top_1 == [pytest.approx(1 / 8)]  # eight black images of eight classes
    np.testing.assert_allclose(notebook["loss"], notebook["same"].loss, rtol=1e-6)
    assert not notebook["classifier"].encoder.trainable_variables


@pytest.mark.smoke
@pytest.mark.parametrize("touched", [False, True])
def test_keras_is_keras_2_after_tensorflow_or_it_is_said_how(touched: bool) -> None:
    code = f"""
import tensorflow as tf
{"tf.keras.Sequential" if touched else ""}
from simclr_tf import SimCLR, SimCLRViews
import keras_cv
assert issubclass(SimCLR, tf.keras.Model)
assert issubclass(keras_cv.layers.Grayscale, tf.keras.layers.Layer)
"""
    fresh = {name: v for name, v in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=fresh, capture_output=True, text=True)
    if touched and sys.version_info >= (3, 12):  # there Keras 3 is TensorFlow's own choice
        assert done.returncode == 1
        assert "import simclr_tf before tf.keras is first used" in done.stderr.splitlines()[-1]
    else:
        assert done.returncode == 0, done.stderr


def test_importing_is_quick_and_the_names_are_there() -> None:
    code = """
import sys, simclr_tf
assert "tensorflow" not in sys.modules
from simclr_tf import Architecture
assert "tensorflow" not in sys.modules and set(simclr_tf.__all__) <= set(dir(simclr_tf))
from simclr_tf import *
assert SimCLR.__module__ == "simclr_tf.training.simclr" and nt_xent is simclr_tf.nt_xent
import tensorflow as tf
assert issubclass(SimCLR, tf.keras.Model)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'SimCRL'"):
        _ = simclr_tf.SimCRL
