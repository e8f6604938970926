"""A pretended Google Cloud: `gcloud` notes its calls, and one folder stands for every TPU VM."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# States: no file `node` in $CLOUD, no such TPU; no `queue`, no request; `ssh_status`, what ssh and
# scp end in.
GCLOUD = r"""#!/bin/bash
printf '%q ' gcloud "$@" >>"$CLOUD/calls"; echo >>"$CLOUD/calls"
verb=$4
# A notice beside the answer is none.
[[ $verb != describe ]] || echo "WARNING: a new version of gcloud is there: READY" >&2
lost() { echo "ERROR: (gcloud) NOT_FOUND: Resource 'projects/p/locations/z/$1'" >&2; exit 1; }
if [[ $3 == queued-resources ]]; then
  case $verb in
    describe)
      [[ -e $CLOUD/queue ]] || lost "queuedResources/$5"
      cat "$CLOUD/queue" ;;
    create) echo WAITING_FOR_RESOURCES >"$CLOUD/queue" ;;
    delete) rm -f "$CLOUD/queue" "$CLOUD/node" ;;
  esac
  exit
fi
case $verb in
  describe)
    [[ ! -e $CLOUD/denied ]] || { echo "ERROR: PERMISSION_DENIED: no" >&2; exit 1; }
    [[ ! -e $CLOUD/no_zone ]] || lost zone
    [[ -e $CLOUD/node ]] || lost "nodes/$5"
    cat "$CLOUD/node" ;;
  create)
    [[ ! -e $CLOUD/full ]] || { echo "ERROR: no more capacity in the zone" >&2; exit 1; }
    printf 'READY\tv5litepod-8\n' >"$CLOUD/node" ;;
  delete) rm "$CLOUD/node" ;;
  scp | ssh)
    [[ ! -e $CLOUD/ssh_status ]] ||
      { echo "ssh: connection refused" >&2; exit "$(cat "$CLOUD/ssh_status")"; }
    [[ $verb != scp ]] || exec cp "$5" "$CLOUD/vm/${6#*:}"
    for argument; do
      [[ $argument == --command=* ]] && { cd "$CLOUD/vm"; exec bash -c "${argument#*=}"; }
    done ;;
esac
"""
# Notes its calls, and installs what `python3.11 -m venv` needs, unless there is nothing to be had.
SUDO = r"""#!/bin/bash
echo "$*" >>"$CLOUD/sudo"
[[ ! -e $CLOUD/nothing ]] || { echo "E: no such archive" >&2; exit 1; }
[[ $1 != apt-get ]] || cp "$CLOUD/python_to_install" "$CLOUD/usr/python3.11"
"""
CURL = r"""#!/bin/bash
url=${!#}
exec cat "$CLOUD/metadata/${url##*/}"
"""
# What `python3.11 -m venv` makes: a python that notes its calls, and trains until told to stop.
PYTHON = r"""#!/bin/bash
if [[ $1 == -m && $2 == venv ]]; then
  mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; touch "$3/bin/pip"; chmod +x "$3/bin/pip"
  printf '#!/bin/bash\n[[ ! -e $CLOUD/broken ]] || { echo KeyError; exit 1; }\n\
exec python3 -m http.server "$TPU_TASK_PORT"\n' >"$3/bin/start_grpc_tpu_worker"
  chmod +x "$3/bin/start_grpc_tpu_worker"
  echo venv >>"$CLOUD/python"
elif [[ $1 == -m && $2 == pip ]]; then
  echo "$*" >>"$CLOUD/python"
elif [[ $1 == -m && $2 == simclr_tf.run ]]; then
  env | grep -E '^(TPU_|PJRT|NEXT_|TF_PLUG)' | sort
  printf 'flag %s\n' "${@:3}"
  trap 'echo saved; exit 143' TERM
  while [[ ! -e $CLOUD/finish ]]; do sleep 0.1; done
elif [[ $2 == *libtpu* ]]; then
  echo /venv/libtpu.so
fi
"""


class Cloud:
    """The pretended cloud, and a checkout whose tpu/ scripts are run against it."""

    def __init__(self, folder: Path):
        self.folder = folder / "cloud"
        self.checkout = folder / "checkout"
        self.env_file = self.checkout / "tpu/env"
        bin_folder = folder / "bin"
        for path in (self.folder / "vm", self.folder / "metadata", bin_folder):
            path.mkdir(parents=True)
        for name, text in {"gcloud": GCLOUD, "curl": CURL, "python3.11": PYTHON}.items():
            (bin_folder / name).write_text(text)
            (bin_folder / name).chmod(0o755)
        shutil.copytree(ROOT / "tpu", self.checkout / "tpu")
        self.env_file.write_text((ROOT / "tpu/env.example").read_text())
        self.hosts("10.0.0.1")
        self.environment = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "CLOUD": str(self.folder),
            "HOME": str(folder),
        }

    def hosts(self, *addresses: str) -> None:
        """Sets what the metadata server says of the slice."""
        text = ",".join(f"unknown:unknown:{address}" for address in addresses)
        (self.folder / "metadata/worker-network-endpoints").write_text(text + "\n")

    def node(self, state: str, kind: str = "v5litepod-8") -> None:
        """Makes a TPU that is in a state, or, with "", none."""
        path = self.folder / "node"
        path.write_text(f"{state}\t{kind}\n") if state else path.unlink(missing_ok=True)

    def mark(self, name: str, text: str = "") -> None:
        """Sets a state: denied, full, broken, no_zone, queue, ssh_status, finish."""
        (self.folder / name).write_text(text)

    def without_python(self) -> None:
        """Makes the VM one of Ubuntu 22.04, without Python 3.11 or newer."""
        usr = self.folder / "usr"
        usr.mkdir()
        for path in (p for folder in ("/bin", "/usr/bin") for p in Path(folder).iterdir()):
            if not path.name.startswith("python3.") and not (usr / path.name).exists():
                (usr / path.name).symlink_to(path)
        bin_folder = self.folder.parent / "bin"
        (bin_folder / "python3.11").rename(self.folder / "python_to_install")
        (bin_folder / "sudo").write_text(SUDO)
        (bin_folder / "sudo").chmod(0o755)
        self.environment["PATH"] = f"{bin_folder}:{usr}"

    def read(self, name: str) -> str:
        """Returns a file of the cloud's, or "" if there is none."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a script of tpu/."""
        return self.run_path(self.checkout / "tpu" / script, *arguments)

    def on_vm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs on_vm of the copy that setup has made."""
        return self.run_path(self.folder / "vm/simclr_tf/tpu/on_vm", *arguments)

    def run_path(self, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A cloud without a TPU, and a checkout in a git repository with a filled-in tpu/env."""
    cloud = Cloud(tmp_path)
    (cloud.checkout / ".gitignore").write_text("/tpu/env\n/tpu/checkout.tar.gz\nruns/\n")
    (cloud.checkout / "gone.txt").write_text("")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=cloud.checkout, check=True)
    return cloud
