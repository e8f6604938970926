"""The command line: flags, help, and one clear line for whatever cannot work."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from simclr_tf import config as config_lib
from simclr_tf import flag_definitions
from simclr_tf.run import main

pytestmark = pytest.mark.smoke

# Names and defaults of the reference release's tf2/run.py; use_tpu alone differs here.
REFERENCE_DEFAULTS = {
    "learning_rate": 0.3,
    "learning_rate_scaling": "linear",
    "warmup_epochs": 10,
    "weight_decay": 1e-6,
    "batch_norm_decay": 0.9,
    "train_batch_size": 512,
    "train_split": "train",
    "train_epochs": 100,
    "train_steps": 0,
    "eval_steps": 0,
    "eval_batch_size": 256,
    "checkpoint_epochs": 1,
    "checkpoint_steps": 0,
    "eval_split": "validation",
    "dataset": "imagenet2012",
    "cache_dataset": False,
    "mode": "train",
    "train_mode": "pretrain",
    "lineareval_while_pretraining": True,
    "checkpoint": None,
    "zero_init_logits_layer": False,
    "fine_tune_after_block": -1,
    "master": None,
    "model_dir": None,
    "data_dir": None,
    "use_tpu": False,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "optimizer": "lars",
    "momentum": 0.9,
    "eval_name": None,
    "keep_checkpoint_max": 5,
    "keep_hub_module_max": 1,
    "temperature": 0.1,
    "hidden_norm": True,
    "proj_head_mode": "nonlinear",
    "proj_out_dim": 128,
    "num_proj_layers": 3,
    "ft_proj_selector": 0,
    "global_bn": True,
    "width_multiplier": 1,
    "resnet_depth": 50,
    "sk_ratio": 0.0,
    "se_ratio": 0.0,
    "image_size": 224,
    "color_jitter_strength": 1.0,
    "use_blur": True,
}

CIFAR_COMMAND = """--train_mode=pretrain --train_batch_size=512 --train_epochs=1000
  --learning_rate=1.0 --weight_decay=1e-4 --temperature=0.5
  --dataset=cifar10 --image_size=32 --eval_split=test --resnet_depth=18
  --use_blur=False --color_jitter_strength=0.5 --model_dir=/tmp/simclr_test --use_tpu=False"""

IMAGENET_COMMAND = """--train_mode=pretrain --train_batch_size=4096 --train_epochs=100
  --temperature=0.1 --learning_rate=0.075 --learning_rate_scaling=sqrt --weight_decay=1e-4
  --dataset=imagenet2012 --image_size=224 --eval_split=validation --data_dir=gs://b/data
  --model_dir=gs://b/model --use_tpu=True --tpu_name=tpu --train_summary_steps=0"""


def parse(command: str = "") -> config_lib.Config:
    return config_lib.parse(shlex.split(command))


@pytest.mark.parametrize("name", REFERENCE_DEFAULTS)
def test_reference_flag_keeps_its_default(name: str) -> None:
    defaults = {row.name: row.default for row in flag_definitions.rows()}
    assert defaults[name] == REFERENCE_DEFAULTS[name]


def test_reference_readme_commands_parse() -> None:
    cifar, imagenet = parse(CIFAR_COMMAND), parse(IMAGENET_COMMAND)
    assert (cifar.data.dataset, cifar.augmentation.use_blur) == ("cifar10", False)
    assert cifar.optimization.train_epochs == 1000
    assert (imagenet.hardware.use_tpu, imagenet.files.train_summary_steps) == (True, 0)


@pytest.mark.parametrize("flag", ["--help", "--temperature=-1", "--no_such_flag"])
def test_answers_before_tensorflow_is_imported(flag: str) -> None:
    code = (
        "import sys; from simclr_tf.run import main; status = main(['simclr_tf', sys.argv[1]]);"
        "assert 'tensorflow' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, text=True)
    assert done.returncode == (0 if flag == "--help" else 2), done.stderr
    if flag == "--help":
        assert all(f"--{name}\n" in done.stdout for name in REFERENCE_DEFAULTS)


BAD_FLAGS = {
    "--temperature=-0.1": "--temperature",
    "--train_batch_size=0": "--train_batch_size",
    "--train_batch_size=1": "negative pairs",
    "--train_batch_size=many": "--train_batch_size",
    "--resnet_depth=19": "18, 34, 50, 101, 152, 200",
    "--width_multiplier=0.001": "--width_multiplier",
    "--fine_tune_after_block=2": "--fine_tune_after_block",
    "--zero_init_logits_layer": "--zero_init_logits_layer",
    "--train_mode=sideways": "pretrain",
    "--no_such_flag": "no_such_flag",
    "stray": "stray",
    "--label_fractions=few": "--label_fractions",
    "--label_fractions=2": "--label_fractions",
    "--tpu_name=mine": "--use_tpu",
    "--use_tpu --strategy=mirrored": "--strategy=mirrored contradicts --use_tpu",
    "--num_virtual_devices=0": "--num_virtual_devices",
    "--num_virtual_devices=2 --use_tpu": "--num_virtual_devices=2",
    "--num_virtual_devices=2 --strategy=one_device": "--strategy=one_device",
    "--steps_per_loop=-1": "--steps_per_loop",
    "--profile_steps=3:2": "must be FIRST:LAST",
    "--profile_steps=0:2": "must be FIRST:LAST",
    "--profile_steps=7": "must be FIRST:LAST",
    "--mode=eval": "--model_dir",
    "--mode=export": "needs --checkpoint",
    "--format=onnx": "--mode=export",
    "--mode=export --checkpoint=x --allow_partial_checkpoint": "--allow_partial_checkpoint",
    "--mode=export --checkpoint=x --format=keras": "saved_model",
    "--trust_checkpoint": "--trust_checkpoint does nothing without --checkpoint",
    "--dataset=/pictures/mine": "is a path, not the name of a data set; for your own pictures, "
    "give --dataset=folder:/pictures/mine",
    "--dataset=./mine": "give --dataset=folder:./mine",
    "--dataset=digits --eval_dataset=~/mine": "give --eval_dataset=folder:~/mine",
    "--labels_per_class=5": "add --train_mode=finetune or --mode=probe",
    "--mode=export --checkpoint=x --format=tflite --export_precision=bfloat16": "for SavedModels",
    "--mode=train_then_eval --nolineareval_while_pretraining": "--mode=probe",
    "--learning_rate=nan": "--learning_rate",
    "--plan_hours=8": "with --mode=plan and --train_mode=pretrain; add them",
    "--mode=plan --plan_hours=8 --checkpoint=x": "--plan_hours=8 is for new networks",
    "--protocol=knn": "--protocol=knn does nothing without --mode=evaluate; add it",
    "--mode=evaluate --protocol=knn,sideways": "must be one of knn, logistic_regression, linear",
    "--mode=evaluate --protocol=": "--protocol is empty",
    "--mode=evaluate --knn_k=1,2,3": "has 2 numbers, and --knn_k 3; give as many, or one",
    "--mode=evaluate --knn_k=1.5": "must be whole numbers separated by commas, such as 200,20",
    "--mode=evaluate --protocol=transfer": "does nothing without --transfer_datasets=NAME,...",
    "--mode=evaluate --transfer_datasets=digits": "does nothing without --protocol=transfer",
    "--mode=evaluate --protocol=semi_supervised": "needs --model_dir",
    "--mode=evaluate --protocol=semi_supervised --model_dir=x --label_fractions=1": "below 1",
    "--mode=evaluate --protocol=transfer --transfer_datasets=./a": "give --transfer_datasets=fol",
    "--mode=compare": "needs folders of runs behind it, such as runs/*",
    "--mode=probe runs/a": "runs/a is not a flag",
    "--train_mode=finetune --knn_every_epochs=2": "is for pre-training",
    "--train_mode=distill": "--train_mode=distill needs --teacher, whose predictions the student",
    "--teacher=x": "--teacher=x does nothing without --train_mode=distill; add it",
    "--train_mode=finetune --distill_weight=1": "does nothing without --train_mode=distill",
    "--train_mode=distill --teacher=x --model_dir=./x/": "is --model_dir, where the student goes",
    "--train_mode=distill --teacher=x --labels_per_class=5": "give a --distill_weight below 1",
    "--train_mode=distill --teacher=x --micro_batch_size=8": "is for pre-training, whose loss",
    "--train_mode=distill --teacher=x --distill_weight=0": "must be above 0 and at most 1",
    "--train_mode=distill --teacher=x --distill_temperature=0": "must be above 0",
    "--train_mode=distill --teacher=x --allow_partial_checkpoint": "nothing without --checkpoint",
    "--mode=plan --use_tpu": "measures CPUs and GPUs, not TPUs",
}


@pytest.mark.parametrize("command", BAD_FLAGS)
def test_bad_flag_is_one_line_and_status_2(command: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["simclr_tf", *command.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert BAD_FLAGS[command] in printed.err


BAD_RUNS = [
    ("--dataset=no_such_dataset", "--dataset=no_such_dataset"),
    ("--dataset=cifar10 --data_dir={empty}", "--data_dir"),
    ("--train_split=trian", "--train_split=trian"),
    ("--eval_split=validation --mode=train_then_eval", "--eval_split=validation"),
    ("--warmup_epochs=200", "--warmup_epochs=200"),
    ("--use_tpu", "no TPU"),
    ("--strategy=multi_worker", "TF_CONFIG"),
    ("--checkpoint={empty}", "holds no checkpoint"),
    ("--checkpoint={empty}/none", "does not exist"),
    ("--checkpoint={broken}/ckpt-1 --train_mode=finetune", "cannot be read"),
    ("--train_mode=finetune --ft_proj_selector=5", "--ft_proj_selector=5"),
    ("--mode=eval --model_dir={empty}", "no config.json"),
    ("--model_dir={other}", "temperature=0.7, not 0.1"),
    ("--model_dir={foreign}", "no config.json"),
]


@pytest.mark.parametrize(("command", "expected"), BAD_RUNS)
def test_bad_run_is_one_line_and_touches_nothing(command, expected, run, tmp_path, capsys) -> None:
    names = ("empty", "broken", "other", "foreign", "run")
    folders = {name: tmp_path / name for name in names}
    for folder in folders.values():
        folder.mkdir()
    (folders["broken"] / "ckpt-1.index").write_bytes(b"not a checkpoint")
    (folders["other"] / "config.json").write_text(json.dumps({"temperature": 0.7}))
    (folders["foreign"] / "checkpoint").write_text("model_checkpoint_path: 'model.ckpt-1'")
    before = snapshot(tmp_path)

    flags_given = command.format(**folders).split()
    assert run(f"--model_dir={folders['run']}", *flags_given) == 2

    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert expected in printed.err
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
