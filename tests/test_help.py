"""Help, as absl's users expect it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simclr_tf import flag_definitions
from simclr_tf.run import main
from simclr_tf.version import __version__

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("flag", ["--help", "-h", "-?", "--helpfull", "-help"])
def test_help_says_what_every_flag_means(flag: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["simclr_tf", flag]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    words = " ".join(printed.out.split())
    for row in flag_definitions.rows():
        assert f"--{row.name}\n" in printed.out
        assert " ".join(row.text.split()) in words
    assert "Must be 1 to 4,096. Default: 224." in words
    assert "One of 18, 34, 50, 101, 152, 200. Default: 50." in words


def test_short_help_is_a_line_for_each_flag(capsys: pytest.CaptureFixture) -> None:
    assert main(["simclr_tf", "--helpshort"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  --temperature=0.1" in lines
    assert sum(line.startswith("  --") for line in lines) == len(list(flag_definitions.rows()))


def test_no_flags_at_all_are_a_question(capsys: pytest.CaptureFixture) -> None:
    assert main(["simclr_tf"]) == 0
    bare = capsys.readouterr().out
    assert main(["simclr_tf", "--helpshort"]) == 0
    assert bare == capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert main(["simclr_tf", "--version"]) == 0
    assert capsys.readouterr().out == f"simclr_tf {__version__}\n"


def test_what_follows_help_is_not_looked_at(capsys: pytest.CaptureFixture) -> None:
    assert main(["simclr_tf", "--help", "--no_such_flag", "--mode=sideways"]) == 0
    assert main(["simclr_tf", "--nohelp", "--temperature=-1"]) == 2
    assert "--temperature" in capsys.readouterr().err


def test_help_into_a_closed_pipe_is_silent() -> None:
    """As in `--help | head -1`."""
    command = [sys.executable, "-m", "simclr_tf.run", "--help"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=0
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
