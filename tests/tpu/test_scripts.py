"""tpu/'s scripts against a pretended gcloud, in every state; --dry_run; shellcheck."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ("create", "setup", "launch", "tail", "delete")
LAUNCH = ("mine", "--flagfile=flags/a.flags", "--flagfile=tpu/tpu.flags", "--image_size=32")
COMMON = "--project=my-project --zone=us-west4-a --quiet"


def arguments_of(script: str) -> tuple[str, ...]:
    return LAUNCH if script == "launch" else ()


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The script ended with status 2 and one line that holds the words."""
    assert done.returncode == 2, done
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for word in words:
        assert word in last


@pytest.fixture
def ready(cloud):
    """A cloud whose TPU is there and set up; a run that is left over is stopped."""
    cloud.node("READY")
    assert cloud.run("setup").returncode == 0
    cloud.mark("calls")
    yield cloud
    cloud.mark("finish")


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_shellcheck_finds_nothing() -> None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    shellcheck = shutil.which("shellcheck", path=places)
    assert shellcheck, "pip install -r tests/requirements.txt brings shellcheck"
    scripts = [*SCRIPTS, "on_vm", "common.sh"]
    done = subprocess.run(
        [shellcheck, "-x", *scripts], cwd=ROOT / "tpu", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    shebangs = {p.name for p in (ROOT / "tpu").iterdir() if p.read_bytes().startswith(b"#!")}
    assert shebangs == {*SCRIPTS, "on_vm"}
    assert all(os.access(ROOT / "tpu" / name, os.X_OK) for name in shebangs)


@pytest.mark.parametrize("script", SCRIPTS)
def test_settings_that_are_missing_are_named_with_their_file(script, cloud) -> None:
    cloud.env_file.unlink()
    assert_one_line(cloud.run(script, *arguments_of(script)), str(cloud.env_file), "cp ")
    example = (ROOT / "tpu/env.example").read_text()
    names = [line.split("=")[0] for line in example.splitlines() if line[:1].isupper()]
    assert len(names) == 7
    for name in names:
        lines = [line for line in example.splitlines() if not line.startswith(f"{name}=")]
        cloud.env_file.write_text("\n".join(lines))
        done = cloud.run(script, *arguments_of(script))
        assert_one_line(done, f"{name} is not set", str(cloud.env_file))
    assert cloud.read("calls") == ""


@pytest.mark.parametrize(("name", "value"), [("BUCKET", "my-bucket"), ("SPOT", "maybe")])
def test_settings_that_cannot_be_are_named(name, value, cloud) -> None:
    with cloud.env_file.open("a") as file:
        file.write(f"\n{name}={value}\n")
    assert_one_line(cloud.run("create"), f"{name}={value}", str(cloud.env_file))


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_gcloud(script, cloud, tmp_path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "git", "env"):
        (tools / tool).symlink_to(shutil.which(tool))
    cloud.environment["PATH"] = str(tools)
    assert_one_line(cloud.run(script, *arguments_of(script)), "gcloud is not on PATH")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_how_to_call_it(script, cloud) -> None:
    done = cloud.run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"tpu/{script} [--dry_run]")
    if script != "launch":
        assert_one_line(cloud.run(script, "--no_such_flag"), "--no_such_flag")


@pytest.mark.parametrize("script", SCRIPTS)
def test_gcloud_that_answers_with_an_error_is_quoted(script, cloud) -> None:
    cloud.mark("denied")
    assert_one_line(cloud.run(script, *arguments_of(script)), "PERMISSION_DENIED")


@pytest.mark.parametrize("script", ["setup", "launch", "tail"])
@pytest.mark.parametrize(
    ("state", "word"), [("", "tpu/create"), ("PREEMPTED", "tpu/delete"), ("CREATING", "wait")]
)
def test_a_tpu_that_is_not_ready(script, state, word, cloud) -> None:
    cloud.node(state)
    assert_one_line(cloud.run(script, *arguments_of(script)), word)
    assert "ssh" not in cloud.read("calls")


@pytest.mark.parametrize("script", ["setup", "launch", "tail"])
def test_ssh_that_fails(script, cloud) -> None:
    cloud.node("READY")
    cloud.mark("ssh_status", "255")
    done = cloud.run(script, *arguments_of(script))
    assert_one_line(done, "not" if script == "setup" else "see above")
    assert "connection refused" in done.stderr
    assert not (cloud.checkout / "tpu/checkout.tar.gz").exists()


def test_create_twice_then_delete_twice(cloud) -> None:
    first = cloud.run("create")
    assert (first.returncode, first.stderr) == (0, "")
    assert cloud.read("calls").splitlines()[-1].strip() == (
        "gcloud compute tpus tpu-vm create simclr --accelerator-type=v5litepod-8 "
        f"--version=v2-alpha-tpuv5-lite {COMMON}"
    )
    again = cloud.run("create")
    assert (again.returncode, again.stdout) == (0, "simclr exists: v5litepod-8, READY\n")
    assert cloud.read("calls").count(" create ") == 1
    assert cloud.run("delete").stdout == "simclr is deleted\n"
    gone = cloud.run("delete")
    assert (gone.returncode, gone.stdout) == (0, "there is no TPU simclr in us-west4-a\n")
    assert cloud.read("calls").count(" delete ") == 1


def test_a_tpu_that_is_asked_for_and_comes_later(cloud) -> None:
    """The request goes with the TPU: left behind, it would ask again, or hold the name."""
    asked = cloud.run("create", "--queued")
    assert asked.returncode == 0 and "simclr is asked for" in asked.stdout
    assert cloud.read("calls").splitlines()[-1].strip() == (
        "gcloud compute tpus queued-resources create simclr --node-id=simclr "
        f"--accelerator-type=v5litepod-8 --runtime-version=v2-alpha-tpuv5-lite {COMMON}"
    )
    for arguments in ([], ["--queued"]):
        again = cloud.run("create", *arguments)
        assert (again.returncode, again.stdout) == (
            *(0, "simclr waits in the queue: WAITING_FOR_RESOURCES\n"),
        )
    assert_one_line(cloud.run("setup"), "waits in the queue: WAITING_FOR_RESOURCES")
    cloud.mark("queue", "FAILED\n")
    assert_one_line(cloud.run("create", "--queued"), "is FAILED", "tpu/delete")
    cloud.mark("queue", "ACTIVE\n")
    cloud.node("READY")
    assert cloud.run("create").stdout == "simclr exists: v5litepod-8, READY\n"
    assert cloud.run("delete").stdout == "simclr is deleted\n"
    assert cloud.read("calls").splitlines()[-1].strip() == (
        f"gcloud compute tpus queued-resources delete simclr --force {COMMON}"
    )
    assert cloud.run("delete").stdout == "there is no TPU simclr in us-west4-a\n"
    assert_one_line(cloud.run("create", "--quickly"), "--quickly")


@pytest.mark.parametrize("script", SCRIPTS)
def test_that_the_zone_is_not_found_says_nothing_of_the_tpu(script, cloud) -> None:
    cloud.node("READY")
    cloud.mark("no_zone")
    assert_one_line(cloud.run(script, *arguments_of(script)), "cannot describe", "/z/zone'")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_bash_that_is_too_old_says_so(script, cloud) -> None:
    """macOS brings 3.2, and would end without a word."""
    cloud.environment["TPU_OLDEST_BASH"] = "9900"
    assert_one_line(cloud.run(script, *arguments_of(script)), "is too old, 4.4 is needed", "brew")


def test_create_asks_for_a_spot_vm(cloud) -> None:
    with cloud.env_file.open("a") as file:
        file.write("\nSPOT=true\n")
    assert cloud.run("create").returncode == 0
    assert " --spot " in cloud.read("calls")


def test_create_refuses(cloud) -> None:
    cloud.mark("full")
    done = cloud.run("create")
    assert_one_line(done, "was not created")
    assert "no more capacity" in done.stderr
    cloud.node("PREEMPTED")
    assert_one_line(cloud.run("create"), "PREEMPTED", "tpu/delete")
    cloud.node("READY", "v4-8")
    assert_one_line(cloud.run("create"), "exists, as v4-8, not v5litepod-8")
    with cloud.env_file.open("a") as file:
        file.write("\nACCELERATOR_TYPE=v6e-16\n")
    assert_one_line(cloud.run("create"), "v6e-16", "v6e-8")


def test_setup_copies_what_is_not_committed_and_installs_twice(cloud) -> None:
    cloud.node("READY")
    (cloud.checkout / "mine.flags").write_text("--seed=1\n")  # new, not added
    (cloud.checkout / "gone.txt").unlink()  # known to git, deleted
    (cloud.checkout / "runs").mkdir()
    (cloud.checkout / "runs/large").write_text("")  # ignored
    for _ in range(2):
        done = cloud.run("setup")
        assert done.returncode == 0, done
    copied = cloud.folder / "vm/simclr_tf"
    assert (copied / "mine.flags").read_text() == "--seed=1\n"
    assert os.access(copied / "tpu/on_vm", os.X_OK)
    for name in ("gone.txt", "runs", "tpu/env", "tpu/checkout.tar.gz"):
        assert not (copied / name).exists()
    assert not (cloud.checkout / "tpu/checkout.tar.gz").exists()
    python = cloud.read("python").splitlines()
    assert python[0] == "venv" and python.count("venv") == 1
    assert python[1].endswith(f"--requirement {copied}/tpu/requirements-tpu.txt")
    assert python[2].endswith(f"--no-deps --requirement {copied}/tpu/requirements-tpu-no-deps.txt")
    assert python[3:] == python[1:3]


def test_setup_takes_python_from_elsewhere_where_the_image_has_an_old_one_alone(cloud) -> None:
    cloud.node("READY")
    cloud.without_python()
    done = cloud.run("setup")
    assert done.returncode == 0, done
    assert cloud.read("sudo").splitlines() == [
        "add-apt-repository --yes ppa:deadsnakes/ppa",
        "apt-get install --quiet --yes python3.11 python3.11-venv",
    ]
    assert cloud.read("python").splitlines()[0] == "venv"
    cloud.mark("sudo")
    assert cloud.run("setup").returncode == 0
    assert cloud.read("sudo") == ""


def test_setup_says_that_there_is_no_python(cloud) -> None:
    cloud.node("READY")
    cloud.without_python()
    cloud.mark("nothing")
    done = cloud.run("setup")
    assert done.returncode != 0
    assert "no Python 3.11 to 3.13, nor from ppa:deadsnakes/ppa" in done.stderr
    assert cloud.read("python") == ""


def test_setup_outside_of_git(cloud) -> None:
    cloud.node("READY")
    shutil.rmtree(cloud.checkout / ".git")
    assert_one_line(cloud.run("setup"), "not a git checkout")


def test_a_run_goes_on_in_the_background_and_is_not_started_twice(ready) -> None:
    started = ready.run("launch", *LAUNCH)
    assert (started.returncode, started.stderr) == (0, ""), started
    assert "mine runs on simclr; watch it: tpu/tail" in started.stdout
    log = ready.folder / "vm/simclr_tf_runs/mine.log"
    wait_for(lambda: "--model_dir" in log.read_text().partition("flag ")[2])
    flags = [line[5:] for line in log.read_text().splitlines() if line.startswith("flag ")]
    assert (
        flags
        == [
            "--data_dir=gs://my-bucket/tfds",  # first: the user's would override it
            *LAUNCH[1:],
            "--model_dir=gs://my-bucket/mine",  # last: it overrides the recipe's
        ]
    )
    environment = set(log.read_text().splitlines())
    assert {"TPU_NAME=local", "PJRT_DEVICE=TPU", "NEXT_PLUGGABLE_DEVICE_USE_C_API=true"} < (
        environment
    )
    assert "TF_PLUGGABLE_DEVICE_LIBRARY_PATH=/venv/libtpu.so" in environment

    again = ready.run("launch", *LAUNCH)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert again.stderr.startswith("error: a run is alive: mine --data_dir=")
    assert len(log.read_text().splitlines()) == len(environment)  # nothing was started

    ready.mark("finish")
    tail = ready.run("tail")
    assert tail.returncode == 0
    assert "flag --image_size=32\n" in tail.stdout
    assert "== ended with status 0" in tail.stdout


def test_a_stopped_run_says_143_and_goes_on_with_the_same_command(ready) -> None:
    assert ready.run("launch", *LAUNCH).returncode == 0
    runs = ready.folder / "vm/simclr_tf_runs"
    wait_for(lambda: "flag " in (runs / "mine.log").read_text())
    os.kill(int((runs / "pid").read_text()), 15)
    wait_for((runs / "status").exists)
    tail = ready.run("tail")
    assert "saved\n" in tail.stdout and "== ended with status 143" in tail.stdout
    assert ready.run("launch", *LAUNCH).returncode == 0
    assert (runs / "mine.log").read_text().count("== 20") == 2


def test_a_slice_has_a_server_on_each_host_and_the_run_on_the_first(ready) -> None:
    port = free_port()
    ready.environment["TPU_TASK_PORT"] = port
    ready.hosts("10.0.0.1", "10.0.0.2")
    try:
        started = ready.run("launch", *LAUNCH)
        assert started.returncode == 0, started
        assert "the worker server is running" in started.stdout
        log = ready.folder / "vm/simclr_tf_runs/mine.log"
        wait_for(lambda: "flag " in log.read_text())
        environment = log.read_text().splitlines()
        assert f"TPU_NAME=grpc://10.0.0.1:{port},grpc://10.0.0.2:{port}" in environment
        assert "TPU_LOAD_LIBRARY=0" in environment
        assert "PJRT_DEVICE=TPU" not in environment
        calls = [line for line in ready.read("calls").splitlines() if " ssh " in line]
        assert [line.split("--worker=")[1].split()[0] for line in calls] == ["all", "0"]
    finally:
        stop_listener(int(port))


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def stop_listener(port: int) -> None:
    """Ends the process of ours that listens on a port."""
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {r[9] for r in map(str.split, table) if int(r[1].split(":")[1], 16) == port}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor).strip("socket:[]") in inodes:
                os.kill(int(descriptor.parts[2]), 9)
                return
        except OSError:
            continue


def test_a_worker_server_that_does_not_come_up(ready) -> None:
    ready.environment |= {"WORKER_SECONDS": "1", "TPU_TASK_PORT": free_port()}
    ready.mark("broken")
    ready.hosts("10.0.0.1", "10.0.0.2")
    done = ready.run("launch", *LAUNCH)
    assert_one_line(done, "a worker is not ready")
    assert "no server on port" in done.stderr and "KeyError" in done.stderr
    assert "mine.log" not in os.listdir(ready.folder / "vm/simclr_tf_runs")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "NAME"),
        (("--flagfile=flags/a.flags",), "NAME"),
        (("../a",), "NAME"),
        (("a", "--model_dir=b"), "--model_dir=gs://my-bucket/a"),
    ],
)
def test_launch_refuses(arguments, word, ready) -> None:
    assert_one_line(ready.run("launch", *arguments), word)
    assert ready.read("calls") == ""


def test_tail_before_a_run(ready) -> None:
    done = ready.run("tail")
    assert_one_line(done, "no log")
    assert "there has been no run" in done.stderr


def test_on_vm_elsewhere(ready) -> None:
    (ready.folder / "metadata/worker-network-endpoints").unlink()
    for command in ("serve", "train"):
        done = ready.on_vm(command, "mine")
        assert done.returncode == 1
        assert "is this a TPU VM?" in done.stderr
    assert ready.on_vm("dance").returncode == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_dry_run_prints_what_a_run_calls_and_calls_nothing(script, cloud) -> None:
    printed = cloud.run(script, "--dry_run", *arguments_of(script))
    assert (printed.returncode, printed.stderr) == (0, "")
    assert cloud.read("calls") == ""
    assert not (cloud.checkout / "tpu/checkout.tar.gz").exists()

    cloud.node("" if script == "create" else "READY")
    if script in ("launch", "tail"):
        assert cloud.run("setup").returncode == 0
    if script == "tail":
        cloud.mark("finish")
        assert cloud.run("launch", *LAUNCH).returncode == 0
    cloud.mark("calls")
    assert cloud.run(script, *arguments_of(script)).returncode == 0
    cloud.mark("finish")
    assert printed.stdout == cloud.read("calls")
    assert printed.stdout.startswith("gcloud compute tpus tpu-vm describe simclr ")
