"""What is raised below is printed at the door, in one line, as flags."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

from simclr_tf.errors import LostWorker, RunFailed, SettingError, UserError, print_error

pytestmark = pytest.mark.smoke


def printed(error: Exception) -> tuple[int, str]:
    file = io.StringIO()
    return print_error(error, file), file.getvalue()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SettingError("seed", -1, "must be 0 to 9"), "--seed=-1 must be 0 to 9"),
        (SettingError("seed", None, "is missing", "give `seed`"), "--seed is missing; give --seed"),
        (SettingError("label_fractions", (0.1, 2), "no"), "--label_fractions=0.1,2 no"),
        (SettingError("dataset", "a`b=c", ": `mode=x y` or `mode`"), None),
        (UserError("two\n  lines, `a` and `b=`"), "two lines, --a and --b="),
    ],
)
def test_settings_are_written_as_flags(error: Exception, line: str | None) -> None:
    line = line or "--dataset=a`b=c: --mode=x y or --mode"
    assert printed(error) == (2, f"error: {line}\n")


def test_from_python_it_reads_without_dashes() -> None:
    error = SettingError("seed", -1, "must be 0 to 9", "give `seed=0`")
    assert str(error) == "`seed=-1` must be 0 to 9; give `seed=0`"
    assert (error.field, error.value, error.reason) == ("seed", -1, "must be 0 to 9")


def test_an_error_can_be_copied() -> None:
    error = SettingError("seed", -1, "must be 0 to 9", "give another")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_status_is_that_of_the_error() -> None:
    assert printed(LostWorker("gone"))[0] == 75
    assert printed(RunFailed("disk full"))[0] == 70
    assert printed(ValueError("absl's own"))[0] == 2
