"""Whole runs on the bundled digits: continued, frozen, reloaded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import processes
from tests.conftest import TINY


def weights_of(model_dir: Path, prefix: str = "") -> dict[str, np.ndarray]:
    """Values of a run's newest checkpoint, optimizer and step included."""
    values = processes.weights(model_dir)
    return {key: value for key, value in values.items() if key.startswith(prefix)}


def metrics_of(model_dir: Path) -> list[dict[str, float]]:
    """Lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()]


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray], **kwargs) -> None:
    assert first.keys() == second.keys()
    assert first
    for key, value in first.items():
        if kwargs:
            np.testing.assert_allclose(value, second[key], err_msg=key, **kwargs)
        else:
            np.testing.assert_array_equal(value, second[key], err_msg=key)


@pytest.fixture(scope="module")
def pretrained(run_here, tmp_path_factory) -> Path:
    """A run of three steps."""
    folder = tmp_path_factory.mktemp("pretrained")
    assert run_here(*TINY, "--train_steps=3", f"--model_dir={folder}") == 0
    return folder


@pytest.mark.smoke
def test_what_a_run_leaves(pretrained: Path) -> None:
    config = json.loads((pretrained / "config.json").read_text())
    assert (config["dataset"], config["train_steps"]) == ("digits", 3)
    assert json.loads((pretrained / "flags.json").read_text())["image_size"] == 8
    metadata = json.loads((pretrained / "simclr.json").read_text())
    assert metadata["architecture"]["cifar_stem"] is True
    assert (pretrained / "ckpt-3.index").exists()
    assert (pretrained / "saved_model/3/saved_model.pb").exists()
    assert list((pretrained / "train").glob("events*"))
    assert [line["step"] for line in metrics_of(pretrained)] == [2, 3]
    assert (pretrained / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(pretrained.rglob("*.tmp*"))


def test_other_losses_train(run_here, tmp_path: Path, capsys) -> None:
    """On the same views of one network: DCL is below NT-Xent, which has one more in its sum."""
    losses = {}
    for loss, title in {"nt_xent": "NT-Xent", "dcl": "DCL", "supcon": "SupCon"}.items():
        folder = tmp_path / loss
        flags = (*TINY, f"--loss={loss}", "--train_steps=1", f"--model_dir={folder}")
        assert run_here(*flags, export=False) == 0
        printed = capsys.readouterr()
        alike = 2 * np.log(30 if loss == "dcl" else 31)
        assert f"{title}, temperature 0.1, 30 negatives per anchor; {alike:.2f} if" in printed.out
        losses[loss] = metrics_of(folder)[-1]["train/contrast_loss"]
        assert f"{title} {losses[loss]:.3f}" in printed.err
    assert losses["dcl"] < losses["nt_xent"] - 0.01
    assert abs(losses["supcon"] - losses["nt_xent"]) > 0.01


@pytest.mark.parametrize("optimizer", ["lars", "adamw"])
def test_resumed_equals_uninterrupted(optimizer, run, tmp_path) -> None:
    common = [f"--optimizer={optimizer}", "--checkpoint_steps=2", "--seed=3"]
    if optimizer == "adamw":
        common.append("--learning_rate=0.001")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(*common, "--train_steps=6", f"--model_dir={whole}", export=False) == 0
    # The schedule knows the run's length, so the stop is a run killed after its step-4 checkpoint.
    processes.keep_until(whole, parts, step=4)
    (parts / "metrics.jsonl").write_text((whole / "metrics.jsonl").read_text() + '{"step": 8, ')
    assert run(*common, "--train_steps=6", f"--model_dir={parts}", export=False) == 0
    assert_same(weights_of(whole), weights_of(parts))
    assert int(weights_of(parts, "global_step")["global_step/.ATTRIBUTES/VARIABLE_VALUE"]) == 6
    first, second = metrics_of(whole), metrics_of(parts)
    assert [line["step"] for line in first] == [2, 4, 6]
    assert first[:2] == second[:2]
    assert first[2].pop("time") < second[2].pop("time")
    assert first[2] == pytest.approx(second[2], rel=1e-5)


def test_sigterm_saves_and_the_run_goes_on(run, tmp_path, capsys) -> None:
    flags = ["--train_steps=40", "--checkpoint_steps=3", "--keep_checkpoint_max=0"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"

    def stop() -> None:
        while not (stopped / "ckpt-3.index").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=stop, daemon=True).start()
    assert run(*flags, f"--model_dir={stopped}") == 143
    assert signal.getsignal(signal.SIGTERM) == before
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "stopped by" in line)
    step = int(line.partition("saved at step ")[2].partition(";")[0])
    assert 3 <= step < 40
    assert (stopped / f"ckpt-{step}.index").exists()
    assert not (stopped / "saved_model").exists()
    assert run(*flags, f"--model_dir={stopped}", export=False) == 0
    assert f"continues from step {step}" in capsys.readouterr().out
    assert run(*flags, f"--model_dir={whole}", export=False) == 0
    assert_same(weights_of(whole), weights_of(stopped))


def test_finished_run_says_so_and_trains_no_more(run, tmp_path, capsys) -> None:
    flags = ["--train_steps=2", f"--model_dir={tmp_path}"]
    assert run(*flags, export=False) == 0
    before = weights_of(tmp_path)
    capsys.readouterr()
    assert run(*flags, export=False) == 0
    assert "is finished: 2 of 2 steps" in capsys.readouterr().out
    assert_same(before, weights_of(tmp_path))


def test_checkpoints_kept(run, tmp_path) -> None:
    flags = ["--checkpoint_steps=1", "--keep_checkpoint_max=2", "--train_steps=4"]
    assert run(*flags, f"--model_dir={tmp_path}", export=False) == 0
    assert sorted(p.name for p in tmp_path.glob("ckpt-*.index")) == ["ckpt-3.index", "ckpt-4.index"]


@pytest.mark.parametrize("block", [0, 2, 4])
@pytest.mark.parametrize("selector", [0, 1])
def test_frozen_is_frozen_bit_for_bit(block, selector, pretrained, run, tmp_path) -> None:
    flags = ["--train_mode=finetune", "--optimizer=momentum", f"--checkpoint={pretrained}"]
    flags += [f"--fine_tune_after_block={block}", f"--ft_proj_selector={selector}"]
    assert run(*flags, "--train_steps=2", f"--model_dir={tmp_path}", export=False) == 0
    before, after = weights_of(pretrained, "encoder"), weights_of(tmp_path, "encoder")
    frozen = ["encoder/stem/"] + [f"encoder/block_groups/{i}/" for i in range(block)]
    for key, value in after.items():
        if key.startswith(tuple(frozen)):
            np.testing.assert_array_equal(value, before[key], err_msg=key)
        elif "block_groups" in key:
            assert not np.array_equal(value, before[key]), key
    heads = [weights_of(folder, "projection_head") for folder in (pretrained, tmp_path)]
    moved = {key for key in heads[0] if not np.array_equal(heads[0][key], heads[1][key])}
    if selector == 0 or block == 4:
        assert not moved
    else:  # the second layer comes after the one that the classifier reads
        assert moved
        assert all(key.startswith("projection_head/layers/0/") for key in moved)


def test_zero_init_logits(pretrained, run, tmp_path) -> None:
    """With zero logits the first step's loss is log(10) whatever the images."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flags = ["--train_mode=finetune", "--zero_init_logits_layer", "--train_steps=1"]
    flags += [f"--checkpoint={pretrained}", f"--model_dir={tmp_path}"]
    assert run(*flags, export=False) == 0
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0}).Reload()
    loss = tf.make_ndarray(events.Tensors("train/supervised_loss")[0].tensor_proto)
    np.testing.assert_allclose(loss, np.log(10), rtol=1e-6)


def test_finetune_from_checkpoint_equals_from_saved_model(pretrained, run, tmp_path) -> None:
    results = []
    for name, source in {"a": "ckpt-3", "b": "saved_model/3", "c": "saved_model", "d": ""}.items():
        flags = ["--train_mode=finetune", f"--checkpoint={pretrained}/{source}"]
        flags += ["--train_steps=1", f"--model_dir={tmp_path / name}"]
        assert run(*flags, export=False) == 0
        results.append(weights_of(tmp_path / name, "encoder"))
    for result in results[1:]:
        assert_same(results[0], result)


def test_architecture_is_read_from_the_checkpoint(pretrained, run_here, tmp_path) -> None:
    flags = ["--train_mode=finetune", f"--checkpoint={pretrained}", "--dataset=digits"]
    flags += ["--train_steps=1", "--train_batch_size=16", "--warmup_epochs=0"]
    assert run_here(*flags, f"--model_dir={tmp_path}", export=False) == 0
    stored = json.loads((tmp_path / "simclr.json").read_text())
    assert stored["architecture"]["width_multiplier"] == 0.0625
    assert stored["preprocessing"]["image_size"] == 8


def test_description_that_lies_is_an_error(pretrained, run, tmp_path, capsys) -> None:
    """A checkpoint that is said to be of another depth: nothing loads in silence."""
    for file in pretrained.glob("ckpt-3.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    metadata = json.loads((pretrained / "simclr.json").read_text())
    metadata["architecture"]["resnet_depth"] = 34
    (tmp_path / "simclr.json").write_text(json.dumps(metadata))
    out = tmp_path / "out"
    flags = ["--train_mode=finetune", f"--checkpoint={tmp_path}/ckpt-3", "--resnet_depth=34"]
    assert run(*flags, f"--model_dir={out}") == 2
    error = capsys.readouterr().err
    assert "says resnet_depth=34, the checkpoint has 18 (encoder/block_groups/" in error
    assert not out.exists()


def test_evaluation_counts_every_image_once(run, tmp_path) -> None:
    """355 test digits in batches of 128: the accuracy is a whole number of 355ths."""
    flags = ["--mode=train_then_eval", "--train_steps=2", "--train_mode=finetune"]
    assert run(*flags, f"--model_dir={tmp_path}") == 0
    result = json.loads((tmp_path / "result.json").read_text())
    keys = ["label_top_1_accuracy", "label_top_5_accuracy", "regularization_loss", "examples"]
    assert result.keys() == {*(f"eval/{key}" for key in keys), "global_step"}
    assert result == json.loads((tmp_path / "result_2.json").read_text())
    loaded = tf.saved_model.load(str(tmp_path / "saved_model/2"))
    from simclr_tf import data

    dataset = data.load("digits")
    hits = count = 0
    for example in dataset.builder.as_dataset(split="test"):
        image = data.preprocess_for_eval(data.to_rgb(example["image"]), 8)
        logits = loaded(image[tf.newaxis], trainable=False)["logits_sup"]
        hits += int(tf.argmax(logits[0]) == example["label"])
        count += 1
    assert count == dataset.num_examples("test") == result["eval/examples"]
    assert result["eval/label_top_1_accuracy"] == pytest.approx(hits / count, abs=1e-6)


def test_eval_mode_follows_a_finished_run(pretrained, run_here, capsys) -> None:
    assert run_here("--mode=eval", "--eval_split=test", f"--model_dir={pretrained}") == 0
    assert "step 3, test (" in capsys.readouterr().out
    assert json.loads((pretrained / "result.json").read_text())["global_step"] == 3


def test_views_of_a_run_take_no_notice_of_weights(pretrained, run, tmp_path) -> None:
    for flags in ([f"--checkpoint={pretrained}"], []):
        assert run("--mode=show_views", f"--model_dir={pretrained}", *flags, tiny=False) == 0
        shutil.move(pretrained / "views.png", tmp_path / f"{len(flags)}.png")
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_bfloat16_trains_and_exports_float32(run, tmp_path) -> None:
    assert run("--precision=bfloat16", "--train_steps=2", f"--model_dir={tmp_path}") == 0
    loaded = tf.saved_model.load(str(tmp_path / "saved_model/2"))
    outputs = loaded(tf.zeros([1, 8, 8, 3]), trainable=False)
    assert {value.dtype for value in outputs.values()} == {tf.float32}


@pytest.mark.smoke
def test_probe_reports_what_logistic_regression_gives(pretrained, run, tmp_path) -> None:
    flags = ["--mode=probe", "--label_fractions=0.1,1", f"--checkpoint={pretrained}"]
    assert run(*flags, f"--model_dir={tmp_path}") == 0
    result = json.loads((tmp_path / "probe.json").read_text())
    of = result.pop("of")
    assert of["dataset"] == of["eval_dataset"] == "digits"
    assert (of["train_split"], of["eval_split"], of["step"]) == ("train", "test", 3)
    assert len(of["encoder_sha256"]) == 64
    settings = {"knn_k", "knn_temperature", "labels", "test_images"}
    health = {name for name in result if name.startswith("health/")}
    assert len(health) == 10
    measured = {"knn", "logistic_regression/0.1", "logistic_regression/1", *settings}
    assert result.keys() - health == measured
    assert [result[name] for name in sorted(settings)] == [144, 0.1, 1442, 355]
    assert result["logistic_regression/1"] > result["logistic_regression/0.1"] > 0.2


def test_show_views_draws_originals_beside_their_views(run, tmp_path) -> None:
    from PIL import Image

    from simclr_tf import data
    from simclr_tf.augmentation import SimCLRViews

    assert run("--mode=show_views", "--train_split=train[:3]", f"--model_dir={tmp_path}") == 0
    sheet = np.asarray(Image.open(tmp_path / "views.png"))
    samples = data.sample_images(data.load("digits"), split="train[:3]", batch_size=3, seed=0)
    row_height = (sheet.shape[0] - 8) // 3
    for row, (image, seed) in enumerate(samples):
        views = np.round(SimCLRViews(8).of_one(image, seed) * 255)
        for column, picture in enumerate([image.numpy(), *views]):
            top, left = 8 + row * row_height, 8 + column * 232
            # 8 pixels are drawn 224 wide: one in the middle of each, away from lines drawn.
            cell = sheet[top : top + 224, left : left + 224][10::28, 10::28]
            np.testing.assert_array_equal(cell, picture)


@pytest.mark.parametrize("mode", ["pretrain", "finetune"])
def test_augmenting_on_the_device_gives_the_same_weights(mode, run, tmp_path) -> None:
    common = [f"--train_mode={mode}", "--train_steps=2", "--lineareval_while_pretraining=false"]
    for place in ("host", "device"):
        flags = [f"--augment_on={place}", f"--model_dir={tmp_path / place}"]
        assert run(*common, *flags, export=False) == 0
    first, second = weights_of(tmp_path / "host"), weights_of(tmp_path / "device")
    assert_same(first, second, rtol=1e-4, atol=1e-5)
