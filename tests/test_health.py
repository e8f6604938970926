"""A run that is made sick is called sick on its log and at its end, and a healthy one is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simclr_tf.training import health

SMALL = (
    *("--dataset=digits", "--eval_split=test", "--image_size=8", "--resnet_depth=18"),
    *("--width_multiplier=0.0625", "--num_proj_layers=2", "--proj_out_dim=16", "--use_blur=false"),
    *("--color_jitter_strength=0.5", "--train_batch_size=64", "--warmup_epochs=2"),
    *("--temperature=0.2", "--train_steps=200", "--nolineareval_while_pretraining"),
)
HEALTHY = "--optimizer=lars --learning_rate=1 --weight_decay=1e-6"
SICK = "--optimizer=momentum --learning_rate=0.4 --weight_decay=1"


@pytest.fixture
def words(run_here, tmp_path: Path, capsys, monkeypatch):
    """Trains; returns the words of the log's lines, of progress, and at the end."""

    def train(*flags: str) -> tuple[list[str], set[str], str]:
        monkeypatch.setattr(health, "SHARE", 1.0)  # in a run of seconds looks are no small part
        assert run_here(*SMALL, *flags, f"--model_dir={tmp_path}", export=False) == 0
        printed = capsys.readouterr()
        logged = re.findall(r"^step [\d,]+: ([\w ]+): ", printed.out, re.M)
        shown = {word for word in WORDS if f"%), {word}, " in printed.err}
        (end,) = re.findall(r"^  health +([\w ]+): ", printed.out, re.M)
        return logged, shown, end

    return train


WORDS = {"healthy", "not learned yet", "collapsed", "dimensionally collapsed"}


@pytest.mark.parametrize("flags", [HEALTHY, SICK])
def test_a_sick_run_and_a_healthy_one(flags: str, words, tmp_path) -> None:
    logged, shown, end = words(*flags.split())
    expected = {"collapsed"} if flags == SICK else {"healthy", "not learned yet"}
    assert {*logged, end} | shown <= expected
    assert end in logged and shown
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    looked = [line for line in lines if "health/deviation" in line]
    assert len(looked) >= 3
    assert (looked[-1]["health/deviation"] < 0.5) == (flags == SICK)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert [start["step"] for start in environment] == [0]
