"""A run of version 0.1 (tests/golden/format_2) is evaluated, continued and exported by this one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import data, flag_definitions
from simclr_tf.checkpoints import find_weights, restore_parts
from simclr_tf.training.build import build_plain

GOLDEN = Path(__file__).parent / "golden" / "format_2"


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN, folder)
    (folder / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"')
    return folder


def test_evaluated_with_the_runs_own_settings(old_run: Path, run, capsys) -> None:
    assert run("--mode=eval", f"--model_dir={old_run}", tiny=False) == 0
    assert "step 1, test (355 images)" in capsys.readouterr().out
    weights = find_weights(str(old_run))
    described = weights.description
    network = build_plain(
        described.architecture, 10, projection_selector=described.projection_selector
    )
    restore_parts(network.parts, weights)
    examples = list(data.load("digits").builder.as_dataset(split="test"))
    images = [data.preprocess_for_eval(data.to_rgb(e["image"]), 8) for e in examples]
    guesses = tf.argmax(network(tf.stack(images), training=False)["logits_sup"], axis=1)
    hits = np.mean(guesses == np.array([int(e["label"]) for e in examples]))
    result = json.loads((old_run / "result.json").read_text())
    assert result["eval/label_top_1_accuracy"] == pytest.approx(hits, abs=1e-6)


def test_continued_by_the_same_flags(old_run: Path, run, capsys) -> None:
    """It is finished: its training state is restored, optimizer too, and exported anew."""
    stored = json.loads((old_run / "config.json").read_text())
    names = [row.name for row in flag_definitions.rows() if row.identity]
    given = {name: stored[name] for name in names if name in stored}
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    assert run(*flags, f"--model_dir={old_run}", tiny=False) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert f"{old_run} is finished: 1 of 1 steps" in printed
    exported = json.loads((old_run / "saved_model/1/assets.extra/simclr.json").read_text())
    before = json.loads((old_run / "saved_model.json").read_text())
    assert exported["weights_sha256"] == before["weights_sha256"]
    assert exported["architecture"] == {**before["architecture"], "stem_padding": 1}
    # Another setting is another run.
    assert run(*flags, f"--model_dir={old_run}", "--temperature=0.3", tiny=False) == 2
    assert "holds a run with temperature=" in capsys.readouterr().err
