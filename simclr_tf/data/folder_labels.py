"""Where the class labels of a folder of pictures come from: its folders' names, or a CSV file."""

from __future__ import annotations

import csv
import posixpath

import tensorflow as tf

from simclr_tf import files
from simclr_tf.errors import SettingError, UserError, first_line
from simclr_tf.paths import absolute, clean, composed

NONE, FOLDERS = "none", "folders"
_COLUMNS = ("path", "label")
_SHOWN = 60  # characters of a first line


def read_labels(
    source: str, paths: list[str], *, root: str, split_folders: bool = False
) -> dict[str, str] | None:
    """Returns the class name of each path that has one.

    Args:
      source: `none`; `folders`, for the first folder on the path; or a CSV file with the columns
        `path`, relative to the pictures' root, and `label`, separated by commas or tabs.
      paths: of the pictures, relative to their root.
      root: see `find_file`.
      split_folders: whether the folders in the root are splits: those below them are classes.

    Returns:
      None for `none`.

    Raises:
      UserError: if there is not a single label, or the CSV file cannot be used.
    """
    if source == NONE:
        return None
    if source == FOLDERS:
        depth = 1 if split_folders else 0
        parts = ((path, path.split("/")) for path in paths)
        labels = {path: names[depth] for path, names in parts if len(names) > depth + 1}
        if not labels:
            where = "the folders of the splits" if split_folders else "the folder itself"
            raise SettingError(
                "folder_labels",
                FOLDERS,
                f": all pictures lie in {where}, none in a folder below that names a class",
                "make such folders, or give a CSV file",
            )
        return labels
    rows = _read_csv(source, find_file(source, root))
    # What was listed on Windows separates folders otherwise; what was listed on a Mac may be
    # spelled in other characters than on disk.
    alike = {
        composed(posixpath.normpath(path.replace("\\", "/"))): label for path, label in rows.items()
    }
    alike |= {composed(path): label for path, label in rows.items()}
    found = ((path, rows.get(path, alike.get(composed(path)))) for path in paths)
    labels = {path: label for path, label in found if label is not None}
    if not labels:
        example = next(iter(rows), None)
        lacks = f"no picture in {root} is at any of its paths, such as {example}"
        lacks = lacks if example else "no rows"
        raise SettingError(
            "folder_labels",
            source,
            f": {lacks}",
            f"write paths relative to the pictures' folder, such as {min(paths)}",
        )
    return labels


def find_file(source: str, root: str) -> str:
    """Returns where a CSV file lies: as it was named, or else beside the pictures.

    Args:
      source: `none`, `folders` or a file, relative to the working directory or to `root`.
      root: of the pictures.
    """
    if source in (NONE, FOLDERS):
        return source
    path = clean(source, "folder_labels")
    beside = files.join(root, path)
    is_relative = absolute(path) != path
    if is_relative and not tf.io.gfile.exists(path) and tf.io.gfile.exists(beside):
        return beside
    return path


def missing_label_remedy(source: str) -> str:
    """Returns what a user can do about too few labels."""
    mend = (
        "put pictures into folders named after their classes"
        if source == FOLDERS
        else "add rows to the CSV file"
    )
    return f"{mend} (pre-training alone needs no labels)"


def _read_csv(source: str, path: str) -> dict[str, str]:
    """Returns the label of each path in a file.

    Args:
      source: what the user gave, for errors.
      path: where it lies.
    """
    try:
        if tf.io.gfile.isdir(path) or not tf.io.gfile.exists(path):
            raise SettingError(
                "folder_labels",
                source,
                ": no such file, here or beside the pictures",
                "give none, folders or a CSV file",
            )
        with tf.io.gfile.GFile(path, "rb") as file:
            lines = file.read().decode("utf-8-sig").splitlines()
        first = lines[0] if lines else ""
        table = list(csv.reader(lines, delimiter="\t" if "\t" in first else ",", strict=True))
    except (tf.errors.OpError, UnicodeDecodeError, csv.Error) as error:
        reason = first_line(error)
        raise SettingError(
            "folder_labels", source, f"cannot be read ({reason})", "give a CSV file in UTF-8"
        ) from None
    header = [cell.strip().lower() for cell in table[0]] if table else []
    if not set(_COLUMNS) <= set(header):
        raise SettingError("folder_labels", source, *_explain_first_line(first))
    picture_column, label_column = map(header.index, _COLUMNS)
    labels: dict[str, str] = {}
    for number, row in enumerate(table[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(
                f"`folder_labels={source}`, row {number}: {len(row)} columns, the first line has "
                f"{len(header)}; put quotation marks around what contains a comma"
            )
        picture, label = posixpath.normpath(row[picture_column].strip()), row[label_column].strip()
        if labels.get(picture, label) != label:
            raise UserError(
                f"`folder_labels={source}`, row {number}: {picture} is {label} here and "
                f"{labels[picture]} above; keep one row"
            )
        if label:
            labels[picture] = label
    return labels


def _explain_first_line(line: str) -> tuple[str, str]:
    """Returns what is wrong with a first line that does not name the columns, and the remedy."""
    if not line.strip():
        return ": its first line is empty", "write path,label there"
    shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    found = f': its first line is "{shown}"'
    if ";" in line and "," not in line:
        return found, "semicolons separate its columns: write path,label with commas"
    return found, "it must name the columns, as in path,label"
