"""Which precision `auto` takes, that a run keeps it, and that measuring leaves no trace."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.config import Config, parse
from simclr_tf.errors import SettingError
from simclr_tf.runs import identity, networks, precision, preparation
from tests.conftest import TINY
from tests.test_training_runs import assert_same


@pytest.mark.parametrize(
    ("speeds", "best", "said"),
    [
        ({"float32": 30, "bfloat16": 20}, "float32", "bfloat16 0.67 times as fast as float32"),
        ({"float32": 30, "bfloat16": 32}, "float32", "bfloat16 1.07 times"),
        ({"float32": 30, "bfloat16": 66}, "bfloat16", "bfloat16 2.20 times"),
        ({"float32": 1, "bfloat16": 2, "float16": 2.1}, "bfloat16", "bfloat16 2.00 times"),
        ({"float32": 1, "float16": 3}, "float16", "float16 3.00 times"),
        ({"float32": 30}, "float32", "the run is too short to measure others"),
    ],
)
def test_the_clearly_fastest_is_taken(speeds: dict[str, float], best: str, said: str) -> None:
    assert precision.fastest(speeds) == best
    assert said in precision.describe(speeds, best)


@pytest.mark.parametrize(
    ("device", "capability", "names"),
    [
        ("CPU", (0, 0), ["float32", "bfloat16"]),
        ("GPU", (6, 1), ["float32"]),
        ("GPU", (7, 5), ["float32", "float16"]),
        ("GPU", (8, 0), ["float32", "bfloat16", "float16"]),
    ],
)
def test_what_devices_support(device, capability, names, monkeypatch) -> None:
    monkeypatch.setattr(precision.gpus, "capability", lambda: capability)
    assert precision.supported(types.SimpleNamespace(device_type=device)) == names


def test_auto_is_what_a_run_has_chosen() -> None:
    """Whatever began it; and who says what it has chosen continues it, too."""
    stored = parse(["--precision=bfloat16"]).to_json()
    auto = parse(["--precision=auto"])
    identity.check_same_run(auto, stored)
    assert identity.adopt_from_data(auto, stored).hardware.precision == "bfloat16"
    assert identity.adopt_run(auto, stored).hardware.precision == "bfloat16"
    identity.check_same_run(parse(["--precision=bfloat16"]), stored)
    for other in ([], ["--precision=float16"]):
        with pytest.raises(SettingError, match="precision=bfloat16, not float"):
            identity.check_same_run(parse(other), stored)


def test_measuring_leaves_no_trace(monkeypatch) -> None:
    """The network that is then built has the names and weights that it would have had."""
    monkeypatch.setattr(precision, "_SECONDS", 0.01)
    monkeypatch.setattr(precision, "supported", lambda _: ["bfloat16"])  # one will do
    run = preparation.prepare(parse([*TINY, "--precision=auto"]), None)

    def build() -> dict[str, np.ndarray]:
        model = networks.build_network(run.config, run.plan.num_classes)
        return {variable.name: variable.numpy() for variable in model.variables}

    precision.start_anew(run)
    before = build()
    assert precision.compare(run)["bfloat16"] > 0
    assert_same(before, build())
    assert tf.keras.mixed_precision.global_policy().name == "float32"


def test_a_run_keeps_its_choice(run, tmp_path: Path, capsys, monkeypatch) -> None:
    command = ["--precision=auto", f"--model_dir={tmp_path}", "--train_steps=1"]
    monkeypatch.setattr(precision, "_SHORT_SECONDS", 0.0)
    monkeypatch.setattr(precision, "compare", lambda *_, **__: {"float32": 1.0, "bfloat16": 2.0})
    assert run(*command, export=False) == 0
    said = "  precision  bfloat16 (measured: bfloat16 2.00 times as fast as float32)\n"
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / "config.json").read_text())["precision"] == "bfloat16"
    monkeypatch.setattr(precision, "compare", lambda *_, **__: pytest.fail("measured again"))
    assert run(*command, export=False) == 0
    assert run("--precision=float32", *command[1:], export=False) == 2
    assert "holds a run with precision=bfloat16, not float32" in capsys.readouterr().err


@dataclasses.dataclass
class Run:
    """What choosing needs of a prepared run."""

    config: Config
    workers: types.SimpleNamespace
    plan: types.SimpleNamespace
    device_type: str
    chosen: str = ""


@pytest.mark.parametrize(
    ("device", "workers", "steps", "chosen", "why"),
    [
        ("TPU", 4, 10**6, "bfloat16", "TPUs compute in it"),
        ("CPU", 2, 10**6, "float32", "several machines do not measure"),
        ("CPU", 1, 9, "float32", "the run is too short to measure others"),
        ("CPU", 1, 10**6, "bfloat16", "measured: bfloat16 3.00 times as fast as float32"),
    ],
)
def test_what_is_measured_and_what_follows_from_a_rule(
    device, workers, steps, chosen, why, monkeypatch
) -> None:
    used: list[str] = []
    monkeypatch.setattr(precision, "use_precision", used.append)
    speeds = {"float32": 1.0, "bfloat16": 3.0}
    monkeypatch.setattr(precision, "compare", lambda *_, **__: speeds)
    flags = ["--precision=auto", "--image_size=32", "--resnet_depth=18", "--train_batch_size=64"]
    plan = types.SimpleNamespace(train_steps=steps)

    run = Run(parse(flags), types.SimpleNamespace(count=workers), plan, device)
    settled = precision.choose(run)  # type: ignore[arg-type]
    assert (settled.config.hardware.precision, used) == (chosen, [chosen])
    assert settled.chosen == f"{chosen} ({why})"
