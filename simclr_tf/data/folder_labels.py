"""Where the class labels of a folder of pictures come from: its folders' names, or a CSV file."""

from __future__ import annotations

import csv
import posixpath

import tensorflow as tf

from simclr_tf.errors import SettingError, UserError, first_line
from simclr_tf.paths import clean, composed

NONE, FOLDERS = "none", "folders"


def read_labels(source: str, paths: list[str]) -> dict[str, str] | None:
    """Returns the class name of each path that has one.

    Args:
      source: `none`; `folders`, for the first folder on the path; or a CSV file with the header
        `path,label` and paths relative to the pictures' root.
      paths: of the pictures, relative to that root.

    Returns:
      None for `none`.

    Raises:
      UserError: if there is not a single label, or the CSV file cannot be used.
    """
    if source == NONE:
        return None
    if source == FOLDERS:
        labels = {path: path.partition("/")[0] for path in paths if "/" in path}
        if not labels:
            raise SettingError(
                "folder_labels",
                FOLDERS,
                ": all pictures lie in the folder itself, none in a folder below it that names a "
                "class",
                "make such folders, or give a CSV file",
            )
        return labels
    rows = _read_csv(source)
    # What was listed on a Mac may be spelled in other characters than on disk.
    alike = {composed(path): label for path, label in rows.items()}
    found = ((path, rows.get(path, alike.get(composed(path)))) for path in paths)
    labels = {path: label for path, label in found if label is not None}
    if not labels:
        example = next(iter(rows), None)
        lacks = f"no picture is at any of its paths, such as {example}" if example else "no rows"
        raise SettingError(
            "folder_labels",
            source,
            f": {lacks}",
            f"write paths relative to the pictures' folder, such as {min(paths)}",
        )
    return labels


def missing_label_remedy(source: str) -> str:
    """Returns what a user can do about too few labels."""
    mend = (
        "put pictures into folders named after their classes"
        if source == FOLDERS
        else "add rows to the CSV file"
    )
    return f"{mend} (pre-training alone needs no labels)"


def _read_csv(source: str) -> dict[str, str]:
    path = clean(source, "folder_labels")
    try:
        if tf.io.gfile.isdir(path) or not tf.io.gfile.exists(path):
            raise SettingError(
                "folder_labels", source, ": no such file", "give none, folders or a CSV file"
            )
        with tf.io.gfile.GFile(path, "rb") as file:
            lines = file.read().decode("utf-8-sig").splitlines()
        table = list(csv.reader(lines, strict=True))
    except (tf.errors.OpError, UnicodeDecodeError, csv.Error) as error:
        reason = first_line(error)
        raise SettingError(
            "folder_labels", source, f"cannot be read ({reason})", "give a CSV file in UTF-8"
        ) from None
    header = [cell.strip() for cell in table[0]] if table else []
    if header != ["path", "label"]:
        raise SettingError("folder_labels", source, ": its first line must be path,label")
    labels: dict[str, str] = {}
    for number, row in enumerate(table[1:], start=2):
        if not row:
            continue
        if len(row) != 2:
            raise UserError(
                f"`folder_labels={source}`, row {number}: {len(row)} columns; write path,label, "
                "and quotation marks around what contains a comma"
            )
        picture, label = posixpath.normpath(row[0].strip()), row[1].strip()
        if labels.get(picture, label) != label:
            raise UserError(
                f"`folder_labels={source}`, row {number}: {picture} is {label} here and "
                f"{labels[picture]} above; keep one row"
            )
        if label:
            labels[picture] = label
    return labels
