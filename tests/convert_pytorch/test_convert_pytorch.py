"""PyTorch's networks compute the same here: files that PyTorch wrote, and what it computed.

With PYTORCH_PYTHON, a Python that has torch, torchvision, lightly and safetensors, wider networks
are made and compared too.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from simclr_tf import files
from simclr_tf.checkpoints import Description, find_weights, restore_parts
from simclr_tf.convert_pytorch.__main__ import main
from simclr_tf.convert_pytorch.convert import convert
from simclr_tf.convert_pytorch.layouts import IMAGENET
from simclr_tf.convert_pytorch.pytorch_file import read
from simclr_tf.convert_pytorch.pytorch_names import map_names
from simclr_tf.errors import UserError
from simclr_tf.training.build import build_plain
from tests.checkpoints.reference_release import images_of

GOLDEN = Path(__file__).parents[1] / "golden/pytorch"
SIZES = {"lightly_r18.ckpt": 48, "lightly_cifar.pt": 32, "solo_learn.ckpt": 32}  # others: 40 px
FLAGS = {"torchvision_r50.safetensors": ["--epsilon=0.001"]}
PYTORCH = os.environ.get("PYTORCH_PYTHON")


def assert_converted(folder: Path, name: str, output: Path) -> Description:
    """Converts a file, loads the result as a command would, and compares what it computes."""
    flags = [f"--input={folder / name}", f"--output={output}", *FLAGS.get(name, [])]
    assert main(flags) == 0
    weights = find_weights(str(output))
    description = weights.description
    network = build_plain(description.architecture, description.num_classes)
    assert "0 missing, 0 unexpected, 0 mismatched" in restore_parts(network.parts, weights)
    outputs = network(tf.constant(images_of(SIZES.get(name, 40))))
    for key, expected in json.loads((folder / "expected.json").read_text())[name].items():
        np.testing.assert_allclose(outputs[key], expected, atol=1e-5, rtol=1e-5, err_msg=key)
    return description


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "lightly_r18.ckpt",
            {"resnet_depth": 18, "image_size": 224, "num_proj_layers": 3, "proj_out_dim": 6},
            marks=pytest.mark.smoke,
        ),
        (
            "torchvision_r50.safetensors",
            {"resnet_depth": 50, "image_size": 224, "proj_head_mode": "none"},
        ),
        ("lightly_cifar.pt", {"resnet_depth": 18, "image_size": 32, "stem_relu": False}),
    ],
)
def test_features_are_pytorch_s(name, expected, tmp_path) -> None:
    description = assert_converted(GOLDEN, name, tmp_path / "out")
    told = {**vars(description), **vars(description.architecture)}
    assert {key: told[key] for key in expected} == expected
    assert told["torch_normalization"] == (*IMAGENET[0], *IMAGENET[1])


CIFAR = (0.4914, 0.4822, 0.4465, 0.2470, 0.2435, 0.2616)
LEFT = "  left out: projection head, {} tensors"


@pytest.mark.parametrize(
    ("name", "expected", "said"),
    [
        (
            "solo_learn.ckpt",
            {"stem_padding": 2, "num_classes": 4, "torch_normalization": CIFAR},
            [
                "  names as solo-learn gives them",
                "  left out: momentum networks, 24 tensors",
                LEFT.format(4),
                "  images normalized by 0.4914,0.4822,0.4465 and 0.247,0.2435,0.2616 "
                "(as the file says)",
                "  3x3 stem padded by 2 (another value: --stem_padding)",
            ],
        ),
        (
            "moco_v1.pth.tar",
            {"num_classes": None, "proj_head_mode": "none"},
            [
                "  names as MoCo gives them",
                "  left out: momentum encoder, 122 tensors",
                LEFT.format(2),
                "  left out: queue, 2 tensors",
            ],
        ),
        (
            "moco_v2.pth.tar",
            {"num_classes": None, "proj_head_mode": "none"},
            ["  left out: momentum encoder, 124 tensors", LEFT.format(4)],
        ),
        (
            "sthalles.pth.tar",
            {"num_classes": None, "proj_head_mode": "none"},
            ["  names as sthalles/SimCLR gives them", LEFT.format(4)],
        ),
        (
            "lightly_train.ckpt",
            {"num_proj_layers": 2, "torch_normalization": (0.5, 0.4, 0.3, 0.2, 0.3, 0.4)},
            ["  names as lightly-train gives them"],
        ),
        (
            "timm.pth",
            {"num_classes": 5, "torch_normalization": (*IMAGENET[0], *IMAGENET[1])},
            [
                "  names as torchvision or timm gives them",
                "  images normalized by 0.485,0.456,0.406 and 0.229,0.224,0.225 "
                "(assumed; other values: --mean, --std)",
            ],
        ),
    ],
)
def test_code_bases_are_known_by_their_names(name, expected, said, tmp_path, capsys) -> None:
    description = assert_converted(GOLDEN, name, tmp_path / "out")
    told = {**vars(description), **vars(description.architecture)}
    assert {key: told[key] for key in expected} == expected
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in said if line not in printed] == []


def test_another_padding_is_another_network(tmp_path, capsys) -> None:
    """As large a difference as this is what a wrong guess costs."""
    features = {}
    for padding in (1, 2):
        output = f"{tmp_path}/{padding}"
        flags = [f"--input={GOLDEN}/solo_learn.ckpt", f"--output={output}"]
        assert main([*flags, f"--stem_padding={padding}"]) == 0
        weights = find_weights(output)
        network = build_plain(weights.description.architecture, 4)
        restore_parts(network.parts, weights)
        features[padding] = network(tf.constant(images_of(32)))["final_avg_pool"].numpy()
    scale = np.abs(features[2]).max()
    assert np.abs(features[1] - features[2]).max() > 0.01 * scale
    assert main([f"--input={GOLDEN}/timm.pth", f"--output={tmp_path}/3", "--stem_padding=2"]) == 2
    assert "--stem_padding=2 goes with the small stem only" in capsys.readouterr().err


def test_the_command_says_its_own_lines_only(tmp_path) -> None:
    command = [sys.executable, "-m", "simclr_tf.convert_pytorch"]
    flags = [f"--input={GOLDEN}/lightly_cifar.pt", f"--output={tmp_path}/out"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 5
    assert done.stdout.endswith(f"use it with --checkpoint={tmp_path}/out\n")


@pytest.mark.skipif(not PYTORCH, reason="PYTORCH_PYTHON names no Python with PyTorch")
def test_against_pytorch_itself(tmp_path) -> None:
    script = str(Path(__file__).with_name("pytorch_networks.py"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run([PYTORCH, script, str(tmp_path), "8"], check=True, env=environment)
    for name in SIZES:
        assert_converted(tmp_path, name, tmp_path / f"{name}.converted")


def test_file_is_read_as_pytorch_wrote_it() -> None:
    tensors = read(str(GOLDEN / "lightly_r18.ckpt")).tensors
    assert tensors["backbone.0.weight"].shape == (2, 3, 7, 7)
    assert tensors["backbone.1.num_batches_tracked"].dtype == np.int64
    assert len(tensors) == 138  # of the state_dict; nothing of the optimizer


def rename(tensors: dict, *pairs: tuple[str, str]) -> dict:
    for old, new in pairs:
        tensors = {name.replace(old, new, 1): value for name, value in tensors.items()}
    return tensors


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model.", "encoder.", "net.0."])
def test_prefixes(prefix) -> None:
    tensors = read(str(GOLDEN / "torchvision_r50.safetensors")).tensors
    plain, _ = map_names(rename(tensors, ("module.", "")), "FILE")
    names, stem_relu = map_names(rename(tensors, ("module.", prefix)), "FILE")
    assert names == {f"{prefix}{name}": path for name, path in plain.items()}
    assert stem_relu
    assert names[f"{prefix}layer3.5.bn2.running_var"] == (
        "encoder/block_groups/2/blocks/5/norm2/moving_variance"
    )


def test_normalization_and_what_to_leave_out(tmp_path) -> None:
    flags = [f"--input={GOLDEN}/lightly_r18.ckpt", f"--output={tmp_path}/out", "--mean=0,0,0"]
    flags += ["--std=1,1,1", "--drop=projection_head", "--image_size=96"]
    assert main(flags) == 0
    metadata = json.loads((tmp_path / "out/simclr.json").read_text())
    assert metadata["architecture"]["torch_normalization"] == [0, 0, 0, 1, 1, 1]
    assert metadata["architecture"]["proj_head_mode"] == "none"
    assert metadata["preprocessing"]["image_size"] == 96


def spoil(name: str, value, folder: Path) -> Path:
    """Writes the safetensors fixture with one tensor more, or fewer where `value` is None."""
    tensors = dict(read(str(GOLDEN / "torchvision_r50.safetensors")).tensors)
    tensors.pop(name, None)
    if value is not None:
        tensors[name] = value
    safetensors.numpy.save_file(tensors, folder / "spoilt.safetensors")
    return folder / "spoilt.safetensors"


ONES = np.ones([4, 4], np.float32)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("queue", ONES, "holds 1 tensors that are not of a ResNet, .*: queue; .* `drop=queue"),
        ("module.layer1.0.conv1.bias", np.ones(1, np.float32), "module.layer1.0.conv1.bias"),
        ("module.layer4.2.bn3.weight", None, "1 variables are missing, .*/3/blocks/2/norm3/gamma"),
        ("module.layer4.2.conv1.weight", None, "holds no ResNet of simclr_tf"),
        ("module.conv1.weight", None, "must hold one network for RGB images, not 0"),
        ("ema.conv1.weight", np.ones([1, 3, 7, 7], np.float32), "not 2 .*ema.conv1.weight"),
        ("projection_head.0.weight", ONES, "each followed by a batch normalization"),
    ],
)
def test_what_does_not_belong_is_named(name, value, words, tmp_path) -> None:
    file = spoil(name, value, tmp_path)
    with pytest.raises(UserError, match=words):
        convert(str(file), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("/tmp/simclr_tf_must_not_exist",)


def torch_zip(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
    return str(path)


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_a_pickle_would_run_is_not_run(protocol, tmp_path) -> None:
    """Beside weights it is passed over, where a tensor must be it is named."""
    content = {"state_dict": {}, "more": [Harmful()], "lr": 0.5}
    path = torch_zip(tmp_path / "beside.pt", pickle.dumps(content, protocol))
    assert read(path) == ({}, {"lr": 0.5})
    content = {"state_dict": {"weight": Harmful()}}
    path = torch_zip(tmp_path / "bad.pt", pickle.dumps(content, protocol))
    with pytest.raises(UserError, match=r"holds (posix|nt)\.mkdir where a tensor must be, which"):
        read(path)
    assert not os.path.exists("/tmp/simclr_tf_must_not_exist")


class Loop:
    """Holds itself where OmegaConf's nodes hold their value."""

    def __init__(self) -> None:
        self._val = self


def test_settings_that_hold_themselves_end(tmp_path) -> None:
    wide: dict = {str(number): number for number in range(20_000)}
    wide["0"] = wide
    content = {"state_dict": {}, "lr": 0.5, "more": {"loop": Loop(), "wide": wide}}
    path = torch_zip(tmp_path / "loop.pt", pickle.dumps(content, 2))
    assert read(path).settings["lr"] == 0.5


def test_what_is_nested_in_itself_takes_no_time(tmp_path) -> None:
    """Names, places and shapes of 2**60 parts in half a kilobyte; to print one takes for ever."""
    nested = "K\x01\x85" + "q\x05h\x05\x86" * 60
    key = STORAGE.replace("X\x01\x00\x00\x000", nested)
    for arguments in (
        f"{key}K\x00K\x04\x85K\x01\x85",
        f"{STORAGE}K\x00{nested}K\x01\x85",
        f"{STORAGE}{nested}K\x04\x85K\x01\x85",
    ):
        pickled = f"\x80\x02}}}}X\x01\x00\x00\x00a{TENSOR}({arguments}\x89}}tRs."
        path = torch_zip(tmp_path / "nested.pt", pickled.encode("latin-1"))
        with pytest.raises(UserError, match="a tensor has no plain shape and place"):
            read(path)


TENSOR = "ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = (
    "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
)


ODD = [
    *("empty", "no end", "no dictionary", "nothing to call", "far memo", "nested key"),
    *("too many", "far steps", "repeated", "sound"),
]


@pytest.mark.parametrize(
    ("pickled", "words"),
    [
        (b"", "cannot be read"),
        (b"\x80\x02}q\x00", "cannot be read"),  # no end
        (b"\x80\x02]q\x00.", "holds no dictionary"),
        (b"\x80\x02R.", "cannot be read"),  # nothing to call
        (b"\x80\x02}r\xff\xff\xff\xff.", None),  # remembered at place 4294967295
        (b"\x80\x02}" + b"\x85" * 200_000 + b"K\x01s.", "cannot be read"),  # nested as deep
        (
            f"\x80\x02}}X\x01\x00\x00\x00a{TENSOR}({STORAGE}K\x00K\x09\x85K\x01\x85\x89}}tRs.",
            "larger",
        ),
        (
            f"\x80\x02}}X\x01\x00\x00\x00a{TENSOR}({STORAGE}K\x00K\x04\x85K\xff\x85\x89}}tRs.",
            "larger",
        ),
        (
            f"\x80\x02}}X\x01\x00\x00\x00a{TENSOR}({STORAGE}K\x00K\x63K\x63\x86K\x00K\x00\x86\x89}}tRs.",
            "larger",
        ),
        (f"\x80\x02}}X\x01\x00\x00\x00a{TENSOR}({STORAGE}K\x00K\x04\x85K\x01\x85\x89}}tRs.", None),
    ],
    ids=ODD,
)
def test_pickles_that_say_nothing_sensible(pickled, words, tmp_path) -> None:
    path = tmp_path / "odd.pt"
    pickled = pickled.encode("latin-1") if isinstance(pickled, str) else pickled
    torch_zip(path, pickled)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", np.arange(4, dtype=np.float32).tobytes())
    if words is None:
        for value in read(str(path)).tensors.values():
            np.testing.assert_array_equal(value, [0, 1, 2, 3])
        return
    with pytest.raises(UserError, match=words):
        read(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p.write_bytes(pickle.dumps({"a": 1})), "is not what torch.save writes since"),
        (lambda p: torch_zip(p, b"\0" * 10**6, zipfile.ZIP_DEFLATED), "compressed, as torch.save"),
        (lambda p: None, "is no file"),
        (lambda p: p.mkdir(), "is no file"),
        (lambda p: p.write_bytes((GOLDEN / "lightly_cifar.pt").read_bytes()[:-30]), "not what"),
    ],
)
def test_files_that_are_not_pytorch_s(make, words, tmp_path, capsys) -> None:
    path = tmp_path / "x.pt"
    make(path)
    assert main([f"--input={path}", f"--output={tmp_path}/out"]) == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith("error: --input=") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--image_size=0"], "--image_size=0 must be 1 to 4,096"),
        (["--image_size=4097"], "--image_size=4097 must be 1 to 4,096"),
        (["--image_size=33"], "--image_size=33 does not go with the first layer of --input={file}"),
        (["--image_size=big"], "argument --image_size: invalid int value: 'big'"),
        (["--epsilon=nan"], "--epsilon=nan must be finite and at least 0"),
        (["--epsilon=inf"], "--epsilon=inf must be finite and at least 0"),
        (["--epsilon=-1e-5"], "--epsilon=-1e-05 must be finite and at least 0"),
        (["--epsilon=small"], "argument --epsilon: invalid float value: 'small'"),
        (["--mean=0,0"], "--mean=0.0,0.0 must be three numbers, such as"),
        (["--mean=nan,0,0"], "--mean=nan,0.0,0.0 must be three numbers, such as"),
        (["--mean=a,b,c"], "--mean=a,b,c must be numbers separated by commas"),
        (["--std=1,1,0"], "--std=1.0,1.0,0.0 must be three numbers above 0"),
        (["--std=1,1,inf"], "--std=1.0,1.0,inf must be three numbers above 0"),
        (["--sdt=1,1,1"], "unrecognized arguments: --sdt=1,1,1"),
        (["--output=/dev/null/out"], "--output=/dev/null/out cannot be written: "),
    ],
)
def test_what_cannot_work_is_one_line(flags, words, tmp_path, capsys) -> None:
    file = GOLDEN / "lightly_cifar.pt"
    try:
        status = main([f"--input={file}", f"--output={tmp_path}/out", *flags])
    except SystemExit as stopped:  # of argparse
        status = stopped.code
    said = capsys.readouterr().err
    assert status == 2
    assert said.startswith(f"error: {words.format(file=file)}") and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_and_missing_flags_need_no_tensorflow() -> None:
    script = (
        "import sys; from simclr_tf.convert_pytorch.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    for flags, status in (["--help"], 0), ([], 2):
        command = [sys.executable, "-c", script, *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert ("--image_size" in done.stdout) == (status == 0)
    assert done.stderr == "error: the following arguments are required: --input, --output\n"


def test_output_is_never_overwritten_nor_half_written(tmp_path, monkeypatch, capsys) -> None:
    file = GOLDEN / "lightly_cifar.pt"
    assert main([f"--input={file}", f"--output={tmp_path}"]) == 2
    assert f"--output={tmp_path} exists" in capsys.readouterr().err
    shutil.copy(file, tmp_path / "in.pt")

    def full(*_) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(UserError, match="`output=.*out` cannot be written: no space left"):
        convert(str(tmp_path / "in.pt"), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == [tmp_path / "in.pt"]
