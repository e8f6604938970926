"""Five hundred damaged files: no crash, no hang, no traceback, and memory stays bounded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

from simclr_tf.checkpoints import variables_by_path
from tests.checkpoints.small import as_module, save, small_network
from tests.checkpoints.test_reference_release import write_tf1

GOLDEN = Path(__file__).parents[1] / "golden"


def test_damaged_checkpoints_saved_models_and_pytorch_files(tmp_path) -> None:
    network = small_network()
    for kind in ("run", "saved_model/assets.extra", "reference", "pickle", "safetensors"):
        (tmp_path / kind).mkdir(parents=True)
    write_tf1(tmp_path / "reference", "tf1_r50_v1")
    save(network, tmp_path / "run")
    saved = tmp_path / "saved_model"
    tf.saved_model.save(as_module(variables_by_path(network.parts)), str(saved))
    shutil.copy(tmp_path / "run/simclr.json", saved / "assets.extra")
    shutil.copy(GOLDEN / "pytorch/lightly_cifar.pt", tmp_path / "pickle")
    shutil.copy(GOLDEN / "pytorch/torchvision_r50.safetensors", tmp_path / "safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoints.mutate", str(tmp_path), "500"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["odd"] == []
    assert told["loaded"] + told["refused"] == 500
    assert told["refused"] > 250
    assert told["mebibytes"] < 200
