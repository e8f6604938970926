"""Commands that start from other weights: of PyTorch, the reference release, a lone SavedModel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.convert_pytorch.convert import convert
from tests.checkpoints.reference_release import images_of
from tests.checkpoints.small import save, small_network
from tests.checkpoints.test_reference_release import GOLDEN, write_tf2

PYTORCH = Path(__file__).parent / "golden/pytorch"
FINETUNE = [
    *("--train_mode=finetune", "--dataset=digits", "--eval_split=test", "--train_batch_size=16"),
    *("--train_steps=1", "--warmup_epochs=0", "--optimizer=momentum", "--learning_rate=0.1"),
    *("--eval_batch_size=32", "--eval_steps=1"),
]


def features_of(model_dir: Path, images: np.ndarray) -> np.ndarray:
    """Of the SavedModel that the run exported."""
    loaded = tf.saved_model.load(str(next((model_dir / "saved_model").iterdir())))
    return loaded(tf.constant(images), trainable=False)["final_avg_pool"].numpy()


def encoder_of(path: Path) -> dict[str, np.ndarray]:
    from simclr_tf.checkpoints import find_weights

    source = find_weights(str(path))
    reader = tf.train.load_checkpoint(source.prefix)
    keys = {name: key for name, key in source.keys.items() if name.startswith("encoder/")}
    return {name: reader.get_tensor(key) for name, key in keys.items()}


def assert_frozen(before: dict, after: dict, groups: int) -> None:
    """The stem and the first groups are the same bit for bit, everything else has moved.

    With -1 groups the stem has moved too.
    """
    assert before.keys() == after.keys()
    frozen = ("encoder/stem/", *(f"encoder/block_groups/{i}/" for i in range(groups)))
    frozen = frozen if groups >= 0 else ()
    for path, value in after.items():
        assert np.array_equal(value, before[path]) == path.startswith(frozen), path


def test_pytorch_weights_probed_linearly_exported_and_evaluated(run, tmp_path) -> None:
    """What the last SavedModel computes is still what PyTorch computed."""
    convert(str(PYTORCH / "lightly_r18.ckpt"), str(tmp_path / "in"))
    flags = [f"--checkpoint={tmp_path}/in", f"--model_dir={tmp_path}/out", "--image_size=48"]
    flags += ["--fine_tune_after_block=4", "--mode=train_then_eval"]
    assert run(*FINETUNE, *flags, tiny=False) == 0
    expected = json.loads((PYTORCH / "expected.json").read_text())["lightly_r18.ckpt"]
    features = features_of(tmp_path / "out", images_of(48))
    np.testing.assert_allclose(features, expected["final_avg_pool"], atol=1e-5, rtol=1e-5)
    first = json.loads((tmp_path / "out/result.json").read_text())
    (tmp_path / "out/result.json").unlink()
    evaluated = ["--eval_split=test", "--eval_batch_size=32", "--eval_steps=1"]
    assert run("--mode=eval", f"--model_dir={tmp_path}/out", *evaluated, tiny=False) == 0
    assert json.loads((tmp_path / "out/result.json").read_text()) == first


def test_pytorch_weights_fine_tuned(run, tmp_path) -> None:
    convert(str(PYTORCH / "lightly_cifar.pt"), str(tmp_path / "in"))
    flags = [f"--checkpoint={tmp_path}/in", f"--model_dir={tmp_path}/out", "--image_size=16"]
    flags.append("--fine_tune_after_block=2")
    assert run(*FINETUNE, *flags, tiny=False, export=False) == 0
    assert_frozen(encoder_of(tmp_path / "in"), encoder_of(tmp_path / "out"), groups=2)


def test_reference_weights_fine_tuned_and_exported(run, tmp_path) -> None:
    case = "tf2_r18_cifar"
    write_tf2(tmp_path, case)
    for block in (-1, 4):
        out = tmp_path / f"out{block}"
        flags = [f"--checkpoint={tmp_path}/saved_model", f"--model_dir={out}"]
        flags.append(f"--fine_tune_after_block={block}")
        assert run(*FINETUNE, *flags, tiny=False, export=block == 4) == 0
        assert_frozen(encoder_of(tmp_path / "saved_model"), encoder_of(out), groups=block)
    features = features_of(out, images_of(32))
    np.testing.assert_allclose(features[0], GOLDEN[case]["final_avg_pool"], atol=1e-5, rtol=1e-5)


def test_a_saved_model_is_enough_in_a_new_process(run, tmp_path) -> None:
    """Every variable that is trained receives a gradient, and frozen ones do not move."""
    assert run("--train_steps=1", f"--model_dir={tmp_path}/run") == 0
    shutil.copytree(tmp_path / "run/saved_model/1", tmp_path / "alone")
    shutil.rmtree(tmp_path / "run")
    command = [sys.executable, "-m", "simclr_tf.run", *FINETUNE, "--fine_tune_after_block=1"]
    command += [f"--checkpoint={tmp_path}/alone", f"--model_dir={tmp_path}/out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "variables matched, 0 missing, 0 unexpected, 0 mismatched" in done.stdout
    assert_frozen(encoder_of(tmp_path / "alone"), encoder_of(tmp_path / "out"), groups=1)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--resnet_depth=34", "has resnet_depth=18: 80 missing in the checkpoint: encoder/block_g"),
        ("--width_multiplier=0.0625", "has width_multiplier=0.03125: 111 of another shape"),
        ("--proj_out_dim=9", "has proj_out_dim=4: 4 of another shape: projection_head/layers/1/de"),
        ("--image_size=64", "has image_size=16 (32 px and below have another first layer): 1 of "),
    ],
)
def test_flags_against_the_checkpoint(flag, words, run, tmp_path, capsys) -> None:
    save(small_network(), tmp_path)
    out = tmp_path / "out"
    flags = [*FINETUNE, f"--checkpoint={tmp_path}", f"--model_dir={out}", flag]
    assert run(*flags, tiny=False) == 2
    said = capsys.readouterr().err
    assert f"error: {flag} contradicts --checkpoint={tmp_path}, which {words}" in said
    assert said.count("\n") == 1
    assert not out.exists()
    if flag.startswith(("--width", "--proj")):
        return  # what follows is the same
    assert run(*flags, "--allow_partial_checkpoint", tiny=False, export=False) == 0
    said = capsys.readouterr().out
    assert "left as initialized or unread, " in said
    assert json.loads((out / "config.json").read_text())[flag[2:].split("=")[0]] == float(
        flag.split("=")[1]
    )


def test_a_checkpoint_s_own_classifier_is_evaluated(run, tmp_path, monkeypatch, capsys) -> None:
    """It tells digits apart as the same features and kernel do; others' classes are an error."""
    network = small_network(classes=10)
    save(network, tmp_path, classes=10)
    monkeypatch.chdir(tmp_path)
    flags = ["--mode=eval", "--dataset=digits", "--eval_split=test", f"--checkpoint={tmp_path}"]
    assert run(*flags, "--eval_batch_size=71", tiny=False) == 0
    result = json.loads(next(tmp_path.glob("runs/*/result.json")).read_text())

    from simclr_tf import data

    dataset = data.load("digits", data_dir=None, folder_labels="none", on_bad_image="skip")
    from simclr_tf.evaluation import extract_features

    features, labels = extract_features(
        network.encoder, dataset, split="test", batch_size=71, image_size=16
    )
    hits = np.argmax(network.supervised_head(features), axis=1) == labels
    assert result["eval/label_top_1_accuracy"] == pytest.approx(hits.mean(), abs=3e-3)
    assert 0 < hits.mean() < 0.5

    capsys.readouterr()
    shutil.rmtree(tmp_path / "runs")
    save(small_network(), tmp_path)
    assert run(*flags, tiny=False) == 2
    said = capsys.readouterr().err
    assert f"--dataset=digits has 10 classes, --checkpoint={tmp_path} 3; give a data set" in said
    save(small_network(classes=None), tmp_path, classes=None)
    assert run(*flags, tiny=False) == 2
    assert "has no classifier to evaluate" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_damaged_checkpoint_writes_nothing(run, tmp_path, capsys) -> None:
    save(small_network(), tmp_path)
    data = tmp_path / "ckpt-7.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[::100] = bytes(byte ^ 4 for byte in content[::100])
    data.write_bytes(content)
    out = tmp_path / "out"
    flags = [*FINETUNE, f"--checkpoint={tmp_path}", f"--model_dir={out}"]
    assert run(*flags, tiny=False) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: checkpoint {tmp_path}/ckpt-7 cannot be read (")
    assert said.count("\n") == 1
    assert not out.exists()


def test_partial_without_a_checkpoint(run, capsys) -> None:
    assert run("--allow_partial_checkpoint") == 2
    assert "--allow_partial_checkpoint does nothing without --checkpoint" in capsys.readouterr().err
