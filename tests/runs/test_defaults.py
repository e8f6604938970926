"""What the data decide, and that a run keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simclr_tf.config import Config, parse
from simclr_tf.errors import SettingError
from simclr_tf.runs import identity
from simclr_tf.runs.defaults import FROM_DATA, fit_to_data

FINETUNE = ("--train_mode=finetune", "--checkpoint=x")


def of_data(config: Config) -> dict[str, object]:
    return {name: config.flat()[name] for name in FROM_DATA}


@pytest.mark.parametrize(
    ("examples", "replicas", "batch"), [(45, 1, 45), (45, 2, 44), (512, 1, 512), (9999, 4, 512)]
)
def test_a_batch_has_no_image_twice(examples: int, replicas: int, batch: int) -> None:
    config, said = fit_to_data(parse([]), examples=examples, replicas=replicas)
    assert config.optimization.train_batch_size == batch
    assert config == parse([]).replace(train_batch_size=batch)
    expected = [f"train_batch_size is {batch}, not 512: there are {examples} images"]
    assert said == (expected if batch < 512 else [])


@pytest.mark.parametrize(
    ("given", "examples", "replicas", "words"),
    [
        ((), 1, 1, "has 1 image, and a negative pair takes 2"),
        ((), 3, 4, "has 3 images, and 4 replicas takes 4"),
        (FINETUNE, 1, 2, "has 1 image, and 2 replicas takes 2"),
    ],
)
def test_too_few_images(given: tuple[str, ...], examples: int, replicas: int, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        fit_to_data(parse([*given]), examples=examples, replicas=replicas)


@pytest.mark.parametrize(
    ("examples", "batch", "epochs"),
    [(20, 16, 240), (50, 16, 96), (1_000, 64, 60), (5_000, 64, 60), (60_000, 64, 30)],
)
def test_fine_tuning_fits_few_labels(examples: int, batch: int, epochs: int) -> None:
    config, said = fit_to_data(parse([*FINETUNE]), examples=examples, replicas=1)
    chosen = {
        **{"train_batch_size": batch, "train_epochs": epochs, "warmup_epochs": 0.0},
        **{"weight_decay": 0.0, "optimizer": "momentum", "learning_rate": 0.0125},
        "learning_rate_scaling": "sqrt",
    }
    assert of_data(config) == chosen
    assert said == []
    config, _ = fit_to_data(parse([*FINETUNE]), examples=examples, replicas=3)
    assert config.optimization.train_batch_size == batch // 3 * 3
    linear = parse([*FINETUNE, "--fine_tune_after_block=4"])
    config, _ = fit_to_data(linear, examples=10**6, replicas=1)
    assert (config.optimization.learning_rate, config.optimization.train_epochs) == (0.025, 90)


def test_what_is_given_stays() -> None:
    explicit = [
        *("--train_batch_size=8", "--train_epochs=3", "--learning_rate=0.2"),
        *("--warmup_epochs=1", "--weight_decay=1e-4"),
    ]
    config = parse([*FINETUNE, *explicit])
    assert fit_to_data(config, examples=50, replicas=1)[0] == config
    # From scratch nothing is fine-tuned; and a length in steps is a length.
    config = parse(["--train_mode=finetune"])
    assert fit_to_data(config, examples=10**4, replicas=1)[0] == config
    steps, _ = fit_to_data(parse([*FINETUNE, "--train_steps=9"]), examples=50, replicas=1)
    assert (steps.optimization.train_steps, steps.optimization.train_epochs) == (9, 100)


@pytest.mark.parametrize("stored", [{"train_batch_size": 45, "learning_rate": 0.05}, {}])
@pytest.mark.parametrize("given", [(), ("--train_batch_size=512",)])
def test_a_run_keeps_what_its_data_decided(
    stored: dict[str, object], given: tuple[str, ...], tmp_path: Path
) -> None:
    """Or what was a default of an earlier version, which noted it as this one does."""
    config = parse([*FINETUNE, *given, f"--model_dir={tmp_path}"])
    before = {**config.to_json(), **stored}
    if given:
        (tmp_path / "flags.json").write_text(json.dumps({"train_batch_size": 512}))
    identity.check_same_run(config, before)
    adopted = identity.adopt_from_data(config, before)
    assert adopted == config.replace(**stored)
    other = parse([*FINETUNE, "--train_batch_size=44", f"--model_dir={tmp_path}"])
    with pytest.raises(SettingError, match="train_batch_size=.*, not 44"):
        identity.check_same_run(other, before)
    if given:  # then, but not now
        other = parse([*FINETUNE, f"--model_dir={tmp_path}"])
        (tmp_path / "flags.json").write_text(json.dumps({"train_batch_size": 400}))
        with pytest.raises(SettingError, match="train_batch_size=400, not 512"):
            identity.check_same_run(other, before)


def test_the_run_itself(run, tmp_path: Path, capsys) -> None:
    """Capped, continued by the same command; and a run of an earlier version, which was not."""
    command = ["--train_split=train[:10]", f"--model_dir={tmp_path}", "--train_steps=2"]
    assert run(*command, export=False) == 0
    printed = capsys.readouterr().out
    assert "train_batch_size is 10, not 16: there are 10 images" in printed
    assert "2 steps of 10 images = 2.0 epochs" in printed
    assert "18 negatives" in printed
    config = json.loads((tmp_path / "config.json").read_text())
    flags = json.loads((tmp_path / "flags.json").read_text())
    assert (config["train_batch_size"], flags["train_batch_size"]) == (10, 16)
    config["train_batch_size"] = 16  # as earlier versions had it
    (tmp_path / "config.json").write_text(json.dumps(config))
    for file in tmp_path.glob("ckpt-2*"):
        file.unlink()
    assert run(*command, export=False) == 0
    printed = capsys.readouterr().out
    assert "2 steps of 16 images" in printed
    assert "there are 10 images" not in printed
    assert json.loads((tmp_path / "config.json").read_text()) == config
