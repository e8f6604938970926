"""The client, over gRPC and HTTP, against stand-ins for a server, and a real one where there is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.serving import client
from tests.documentation import code_run_by
from tests.serving import doubles
from tests.serving.conftest import encode

pytestmark = pytest.mark.smoke
WAYS = {"--server": doubles.serve_grpc, "--rest": doubles.serve_rest}
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(exported) -> doubles.Model:
    return doubles.Model(str(exported["float32"].folder))


@pytest.fixture(params=WAYS)
def ask(request, model) -> Iterator[Callable[..., int]]:
    """Calls the client on a server of either kind."""
    model.busy, model.seconds, model.requests = 0, 0.0, 0
    model.most, model.others = 10**9, []
    with WAYS[request.param](model) as address:
        yield lambda *words: client.main([f"{request.param}={address}", *map(str, words)])


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """Five pictures of four kinds and five sizes."""
    paths = []
    for number, kind in enumerate(("JPEG", "PNG", "GIF", "JPEG", "BMP")):
        slope = np.linspace(0, 255, (40 + number) * 50 * 3).reshape(40 + number, 50, 3)
        paths.append(tmp_path / f"{number}.{kind.lower()}")
        paths[-1].write_bytes(encode(np.roll(slope, number, 1).astype(np.uint8), kind))
    return paths


def test_embeddings_and_classes(ask, images, exported, model, tmp_path, capsys) -> None:
    described = exported["float32"].folder / "assets.extra/simclr.json"
    output = tmp_path / "features.npy"
    words = [f"--class_names={described}", f"--output={output}", "--batch_size=2"]
    assert ask(*words, *images) == 0
    assert model.requests == 3
    signature = tf.saved_model.load(str(exported["float32"].folder)).signatures["serving_default"]
    expected = signature(tf.constant([client.read_picture(str(image)) for image in images]))
    np.testing.assert_allclose(np.load(output), expected["features"], atol=1e-5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[::3][:5] == [str(image) for image in images]
    for row, line in enumerate(lines[2::3]):
        best = int(np.argmax(expected["probabilities"][row]))
        probability = float(np.max(expected["probabilities"][row]))
        assert line.startswith(f"  classes  class {best} {probability:.3f}, class ")
        assert line.count("class ") == 5
    first = " ".join(f"{value:.4f}" for value in expected["features"][0, :4])
    assert lines[1].startswith(f"  features [32] {first} ..., norm ")
    assert lines[-1].startswith("5 images in ") and "requests 3, first " in lines[-1]


def test_names_from_a_text_file_or_numbers(ask, images, tmp_path, capsys) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"animal {number}\n" for number in range(10)))
    assert ask(images[0]) == 0
    numbered = capsys.readouterr().out
    assert ask(f"--class_names={names}", images[0]) == 0
    named = capsys.readouterr().out
    assert "animal" not in numbered and named.count("animal ") == 5


def test_a_busy_server_is_asked_again(ask, images, model) -> None:
    model.busy = 3
    assert ask(images[0]) == 0
    assert model.requests == 4


def test_a_server_that_stays_busy_or_slow_is_given_up(ask, images, model, capsys) -> None:
    for model.busy, model.seconds in ((10**6, 0.0), (0, 5.0)):
        begin = time.monotonic()
        assert ask("--timeout=1", images[0]) == 2
        assert time.monotonic() - begin < 3
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "did not answer within --timeout=1 seconds" in error


def served(exported, paths: list[Path]) -> np.ndarray:
    """Features as TensorFlow in Python computes them."""
    signatures = tf.saved_model.load(str(exported["float32"].folder)).signatures
    contents = tf.constant([client.read_picture(str(path)) for path in paths])
    return signatures["serving_default"](contents)["features"].numpy()


def test_bad_pictures_are_named_and_the_others_are_kept(
    ask, images, exported, tmp_path, capsys
) -> None:
    huge, cut, text = tmp_path / "huge.png", tmp_path / "cut.jpg", tmp_path / "text.webp"
    huge.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x7f" * 100)
    cut.write_bytes(images[0].read_bytes()[:300])
    text.write_text("text")
    output = tmp_path / "features.npy"
    asked = [images[1], huge, images[0], cut, text, images[2]]
    assert ask(f"--output={output}", *asked) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert lines[0] == (
        f"error: {text}: not a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM picture, or of a rare kind"
    )
    assert lines[1] == f"error: {huge}: the server refused it: has more than 89,478,485 pixels"
    assert lines[2].startswith(f"error: {cut}: the server refused it: ")
    assert "[[" not in lines[2] and "node" not in lines[2]
    assert lines[3:] == ["error: 3 of 6 pictures have no answer"]
    good = [images[1], images[0], images[2]]
    assert (tmp_path / "features.names.csv").read_text().split() == ["name", *map(str, good)]
    np.testing.assert_allclose(np.load(output), served(exported, good), atol=1e-5)
    assert "3 images in " in printed.out


def test_a_batch_above_the_limit_is_asked_singly(ask, images, exported, model, tmp_path) -> None:
    output = tmp_path / "features.csv"
    model.most = 1
    assert ask(f"--output={output}", *images) == 0
    assert model.requests == 1 + 5
    rows = [line.split(",") for line in output.read_text().splitlines()]
    assert rows[0] == ["name", *map(str, range(32))]
    assert [row[0] for row in rows[1:]] == list(map(str, images))
    features = np.array([row[1:] for row in rows[1:]], np.float32)
    np.testing.assert_allclose(features, served(exported, images), atol=1e-5)


def test_another_clients_bad_picture_is_not_blamed_on_ours(ask, images, model, capsys) -> None:
    """A batching server fails all that it has put together, and counts from its beginning."""
    model.others = [b"no picture"]
    assert ask(images[0]) == 0
    assert model.requests == 2
    model.others = [b"no picture"]
    assert ask(images[0], images[1]) == 0
    assert capsys.readouterr().err == ""


def test_each_answer_is_on_disk_before_the_next(ask, images, model, tmp_path, monkeypatch) -> None:
    """A server that goes away in the middle takes nothing along that it has answered."""
    output = tmp_path / "features.npy"
    seen = []
    predict = model.predict

    def look(*request) -> dict:
        seen.append(len(np.load(output)) if output.exists() else 0)
        if len(seen) == 3:
            raise ConnectionError("going down")
        return predict(*request)

    monkeypatch.setattr(model, "predict", look)
    words = [f"--output={output}", "--batch_size=2", "--timeout=0.05", *images]
    assert ask(*words) == 2
    assert seen == [0, 2, 4]
    assert len(np.load(output)) == 4
    assert len((tmp_path / "features.names.csv").read_text().splitlines()) == 5


def test_an_old_file_stays_until_there_is_an_answer(images, tmp_path) -> None:
    output = tmp_path / "features.npy"
    output.write_bytes(b"precious")
    words = ["--rest=127.0.0.1:1", "--timeout=0.1", f"--output={output}", str(images[0])]
    assert client.main(words) == 2
    assert output.read_bytes() == b"precious"


def test_pictures_that_are_all_refused_end_it(ask, images, model, tmp_path, capsys) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(images[0].read_bytes()[:300])
    assert ask("--batch_size=1", cut, images[0]) == 2
    assert "--model=simclr has refused all pictures so far" in capsys.readouterr().err


def test_tls(model, images, tmp_path) -> None:
    """In a process of its own: gRPC reads where its roots are once."""
    model.busy, model.seconds, model.most, model.others = 0, 0.0, 10**9, []
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    identity = (key.read_bytes(), certificate.read_bytes())
    trusting = {**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate)}
    with doubles.serve_grpc(model, identity) as address:
        command = [sys.executable, "-m", "simclr_tf.serving.client", "--timeout=20", "--tls"]
        command += [f"--server={address.replace('127.0.0.1', 'localhost')}", str(images[0])]
        done = subprocess.run(command, capture_output=True, text=True, env=trusting)
        assert done.returncode == 0, done.stderr
        command[3] = "--timeout=2"
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        assert done.returncode == 2 and "did not answer" in done.stderr


def test_a_reader_that_leaves(model, images, tmp_path) -> None:
    """As `| head` does: no traceback, and the status of SIGPIPE. For the other command, too."""
    model.busy, model.seconds, model.most, model.others = 0, 0.0, 10**9, []
    weights = Path(__file__).parents[1] / "golden/pytorch/lightly_cifar.pt"
    with doubles.serve_rest(model) as address:
        for words in (
            ["simclr_tf.serving.client", f"--rest={address}", str(images[0])],
            ["simclr_tf.convert_pytorch", f"--input={weights}", f"--output={tmp_path / 'new'}"],
        ):
            reading, writing = os.pipe()
            os.close(reading)
            command = [sys.executable, "-m", *words]
            done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
            os.close(writing)
            assert (done.returncode, done.stderr) == (141, "")


def test_a_model_that_is_not_there(ask, images, model, capsys) -> None:
    assert ask("--model=other", images[0]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--model=other" in error and "not found" in error
    assert model.requests == 1


@pytest.mark.parametrize("way", WAYS)
def test_nobody_there(way, images, capsys) -> None:
    with contextlib.closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        assert client.main([f"{way}={address}", "--timeout=0.5", str(images[0])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{way}={address} did not answer" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.jpg"], "nothing.jpg: No such file"),
        (["{folder}"], "Is a directory"),
        (["--class_names=no.json", "{folder}/0.jpeg"], "--class_names=no.json: No such file"),
        (["--class_names={folder}/0.json", "{folder}/0.jpeg"], "is no simclr.json"),
        (["--class_names={folder}/1.json", "{folder}/0.jpeg"], "has no named classes"),
        (["--class_names={folder}/2.json", "{folder}/0.jpeg"], "is no simclr.json"),
        (["--output=features.txt", "{folder}/0.jpeg"], "must end in .npy or .csv"),
        (["--output={folder}/x.npy", "{folder}/0.jpeg"], "cannot be written: it is a folder"),
        (["--output=no/f.npy", "{folder}/0.jpeg"], "no is no folder"),
        (["--tls", "{folder}/0.jpeg"], "--tls is for --server; give --rest=https://HOST"),
    ],
)
def test_bad_input_is_one_line_and_reaches_no_server(words, told, images, capsys) -> None:
    folder = images[0].parent
    (folder / "x.npy").mkdir()
    (folder / "0.json").write_text("[]")
    (folder / "1.json").write_text('{"class_names": null}')
    (folder / "2.json").write_text('{"class_names": 5}')
    words = [word.format(folder=folder) for word in words]
    assert client.main(["--rest=127.0.0.1:1", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and told in error


@pytest.mark.parametrize(
    "words", [[], ["a.jpg"], ["--server=a", "--rest=b", "a.jpg"], ["--rest=a", "--timeout=0", "b"]]
)
def test_usage(words, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        client.main(words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_http_needs_no_tensorflow(model, images) -> None:
    script = (
        "import sys; from simclr_tf.serving import client; status = client.main(sys.argv[1:]);"
        "sys.exit('TensorFlow was imported' if 'tensorflow' in sys.modules else status)"
    )
    model.busy, model.seconds = 0, 0.0
    with doubles.serve_rest(model) as address:
        files = [str(images[0]), str(images[2])]  # a JPEG, and what the client converts
        command = [sys.executable, "-c", script, f"--rest=http://{address}/", *files]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_of_the_documentation(model, images, exported) -> None:
    command = code_run_by("tests/serving/test_client.py::test_the_curl_of_the_documentation")
    model.busy, model.seconds = 0, 0.0
    with doubles.serve_rest(model) as address:
        command = command.replace("localhost:8501", address).replace("image.jpg", str(images[0]))
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    outputs = json.loads(done.stdout)["outputs"]
    signature = tf.saved_model.load(str(exported["float32"].folder)).signatures["serving_default"]
    expected = signature(tf.constant([images[0].read_bytes()]))
    assert outputs.keys() == expected.keys()
    np.testing.assert_allclose(outputs["features"], expected["features"], atol=1e-5)


@pytest.mark.parametrize(
    ("way", "variable"), [("--server", "TF_SERVING_GRPC"), ("--rest", "TF_SERVING_REST")]
)
def test_real_server(way, variable, images, tmp_path, capsys) -> None:
    """With TF_SERVING_SAVED_MODEL, what it serves as `simclr`, features are compared as well."""
    if variable not in os.environ:
        pytest.skip(f"{variable} (host:port of a TensorFlow Serving with the model) is not set")
    output = tmp_path / "features.npy"
    words = [f"{way}={os.environ[variable]}", f"--output={output}", *map(str, images)]
    assert client.main(words) == 0, capsys.readouterr().err
    features = np.load(output)
    assert len(features) == len(images) and np.isfinite(features).all()
    if "TF_SERVING_SAVED_MODEL" in os.environ:
        served = tf.saved_model.load(os.environ["TF_SERVING_SAVED_MODEL"])
        contents = tf.constant([client.read_picture(str(image)) for image in images])
        expected = served.signatures["serving_default"](contents)["features"]
        np.testing.assert_allclose(features, expected, atol=1e-4)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(images[0].read_bytes()[:300])
    assert client.main([words[0], str(images[0]), str(cut)]) == 1
    assert client.main([words[0], str(images[0])]) == 0
