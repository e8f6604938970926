r"""What a path that a user gives means, and when two paths are one place. No TensorFlow here.

`~` and `~user` are home folders, doubled and trailing slashes count for nothing, `.` and `..` are
resolved, and a file whose name is stored in the other Unicode form (composed, decomposed) is found.
Pattern characters, spaces and backslashes are part of a name. Of `gs://` and other schemes, slashes
alone are put in order: what else is in such a name is the storage's business.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable
from typing import Any

from simclr_tf.errors import SettingError, UserError

# What TensorFlow takes for a scheme.
_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9.]*)://(.*)", re.DOTALL)
# In a pattern these match something else than themselves; * and ? match themselves, too.
_PATTERN = re.compile(r"[\[\\]")
_LINK = "linked"
_links: dict[str, str] = {}


@dataclasses.dataclass(frozen=True)
class PathIn:
    """Which values of a setting hold a path: those that begin with `prefix`, but for some words."""

    prefix: str = ""
    words: tuple[str, ...] = ()

    def path_of(self, value: Any) -> str | None:
        """Returns the path in `value`, None where there is none."""
        if not isinstance(value, str) or value in self.words:
            return None
        return value.removeprefix(self.prefix) if value.startswith(self.prefix) else None

    def map(self, function: Callable[[str], str], value: Any) -> Any:
        """Returns `value` with what `function` makes of the path in it; as it is without one.

        Of several values, each.
        """
        if isinstance(value, (list, tuple)):
            return type(value)(self.map(function, item) for item in value)
        path = self.path_of(value)
        return value if path is None else self.prefix + function(path)

    def same(self, first: Any, second: Any) -> bool:
        """Says whether two values hold paths of one place."""
        one, other = self.path_of(first), self.path_of(second)
        return one is not None and other is not None and same_place(one, other)


def is_remote(path: str) -> bool:
    """Says whether a path has a scheme, as in `gs://`."""
    return bool(scheme_of(path))


def scheme_of(path: str) -> str:
    """Returns `gs` of `gs://bucket`, "" where there is none."""
    remote = _REMOTE.fullmatch(path)
    return remote[1] if remote else ""


def clean(path: str, field: str | None = None, *, prefix: str = "") -> str:
    """Returns the plain form of a path as a user writes it; relative ones stay relative.

    Args:
      path: what the user gave.
      field: the setting that it is of, for errors.
      prefix: what stands before it in the setting's value, for errors.

    Raises:
      UserError: it is empty, names the home of nobody, or is no text.
    """
    expanded = os.path.expanduser(path)
    _check(path, expanded, field, prefix)
    remote = _REMOTE.fullmatch(path)
    if remote:
        rest = re.sub("/+", "/", remote[2])
        return f"{remote[1]}://{rest.rstrip('/') or rest}"
    plain = _normalize(expanded)
    if ".." in expanded.split("/") and os.path.realpath(plain) != os.path.realpath(expanded):
        plain = os.path.realpath(expanded)  # .. leads up from where a link points
    plain = _as_stored(plain)
    return f"./{plain}" if plain.startswith("~") else plain


def absolute(path: str) -> str:
    """Returns a path that means the same from every working directory.

    Raises:
      UserError: it cannot be a path, or is relative to a folder that has been removed.
    """
    path = clean(path)
    if is_remote(path) or os.path.isabs(path):
        return path
    try:
        return _normalize(os.path.join(os.getcwd(), path))
    except FileNotFoundError:
        raise UserError("the working directory has been removed; change to another") from None


def same_place(first: str, second: str) -> bool:
    """Says whether two paths, as users write them, lead to one file or folder, there or not yet."""
    first, second = absolute(first), absolute(second)
    if not (is_remote(first) or is_remote(second)):
        if os.path.exists(first) and os.path.exists(second):
            return os.path.samefile(first, second)
        first, second = os.path.realpath(first), os.path.realpath(second)
    return composed(first) == composed(second)


def last_name(path: str) -> str:
    """Returns the name of the file or folder itself, "" for the root."""
    return absolute(path).rpartition("/")[2]


def composed(text: str) -> str:
    """Returns a name in the one of its Unicode forms by which names are compared."""
    return unicodedata.normalize("NFC", text)


def is_taken_for_a_pattern(path: str) -> bool:
    r"""Says whether TensorFlow's readers of weights would miss a path: it has `[` or `\` in it."""
    return _PATTERN.search(path) is not None


def readable(path: str) -> str:
    """Returns a name by which TensorFlow's readers of weights find a local path.

    They look for files that match the name before they open any, and miss those in `lr[0.1]/`. So
    it is a link in a temporary folder, which stays as long as this process.

    Args:
      path: a folder, or what the names of a checkpoint's files begin with.
    """
    if is_remote(path) or not is_taken_for_a_pattern(path):
        return path
    path = absolute(path)
    if os.path.isdir(path) or is_taken_for_a_pattern(os.path.basename(path)):
        return _link(path)
    return os.path.join(_link(os.path.dirname(path)), os.path.basename(path))


def _link(path: str) -> str:
    """Links to a folder, or to the files whose names begin with `path` and a dot."""
    held = _links.get(path)
    # A machine may clean its temporary folder while a run goes on.
    if not (held and os.path.isdir(held) and os.listdir(held)):
        held = tempfile.mkdtemp(prefix="simclr_tf_")
        atexit.register(shutil.rmtree, held, ignore_errors=True)
        folder, name = os.path.split(path)
        entries = [name] if os.path.isdir(path) else os.listdir(folder)
        for entry in entries:
            if entry == name or entry.startswith(f"{name}."):
                link = os.path.join(held, _LINK + entry.removeprefix(name))
                os.symlink(os.path.join(folder, entry), link)
        _links[path] = held
    return os.path.join(held, _LINK)


def _check(path: str, expanded: str, field: str | None, prefix: str) -> None:
    """Raises UserError where a path, whose `~` has become `expanded`, cannot be one."""
    if not path:
        reason, remedy = "is empty", "give a path"
    elif expanded.startswith("~"):
        reason, remedy = "is in nobody's home folder", f"write ./{path} for what is called so"
    elif "\0" in path or not _is_utf8(path):
        reason, remedy = "is not UTF-8", "rename it: TensorFlow cannot open it"
    else:
        return
    shown = prefix + path.encode(errors="backslashreplace").decode()
    if field is None:
        raise UserError(f"{shown!r} {reason}; {remedy}")
    raise SettingError(field, shown, reason, remedy)


def _normalize(path: str) -> str:
    """os.path.normpath, which keeps two slashes at the beginning, without those."""
    return re.sub("^//", "/", os.path.normpath(path))


def _as_stored(path: str) -> str:
    """Returns a path in the Unicode form in which its folders and file are stored."""
    if path.isascii() or os.path.lexists(path):
        return path
    folder, name = os.path.split(path)
    if not name:
        return path
    folder = _as_stored(folder)
    with contextlib.suppress(OSError):
        alike = [n for n in os.listdir(folder or ".") if composed(n) == composed(name)]
        if name not in alike:
            name = min(alike, default=name)
    return os.path.join(folder, name)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
