"""Runs side by side: in what their configurations differ, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simclr_tf import flag_definitions, paths
from simclr_tf.config import Config
from simclr_tf.errors import UserError
from simclr_tf.runs.evaluation_files import read_rows
from simclr_tf.runs.folder import stored_config
from simclr_tf.runs.moved import read

_ABSENT = "-"
_TOP_1 = "eval/label_top_1_accuracy"


def compare(config: Config) -> None:
    """Prints what differs between the runs in `config.runs`, and their figures.

    Settings are those of config.json; figures those of evaluation.json, probe.json and result.json.
    Folders that have none of these are left out: `runs/*` names whatever lies there.

    Raises:
      UserError: no folder has anything of a run's.
    """
    folders, settings, figures = [], [], []
    for folder in config.runs:
        stored, measured = stored_config(folder), _figures(folder)
        if stored is None and not measured:
            print(f"{folder} holds no run: left out")
            continue
        folders.append(folder)
        settings.append(stored or {})
        figures.append(measured)
    if not folders:
        raise UserError(
            "no folder holds a run: neither config.json nor evaluation.json, probe.json or "
            "result.json; give the folders of runs"
        )
    names = [paths.last_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        names = list(folders)
    print(_table("what differs", names, _differences(settings), _write_setting))
    print(_table("what was measured", names, _union(figures), _write_figure))


def _figures(folder: str) -> dict[str, float]:
    """Returns what was measured of a run, by what it is."""
    found: dict[str, float] = {}
    for row in read_rows(folder):
        found[f"{row['protocol']}, {row['case']}, {row['dataset']}, {row['metric']}"] = row["value"]
    probed = read(folder, "probe.json")
    for name, value in probed.items():
        if name == "knn" or name.startswith("logistic_regression/"):
            more = f" (k {probed.get('knn_k')})" if name == "knn" else ""
            found[f"probe: {name}{more}, top-1"] = value
    result = read(folder, "result.json")
    if _TOP_1 in result:
        found["classifier, top-1"] = result[_TOP_1]
    return found


def _differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Returns the value of each run by setting, of those that make a run what it is and differ.

    What a run of another version has not written down is no difference.
    """
    names = {row.name for row in flag_definitions.rows() if row.identity}
    table = {name: values for name, values in _union(settings).items() if name in names}
    known = {name: [v for v in values if v is not None] for name, values in table.items()}
    return {name: table[name] for name, values in known.items() if _differ(values)}


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values)


def _union(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Returns the value of each column by name, None where it has none."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def _table(title: str, names: Sequence[str], rows: Mapping[str, Sequence[Any]], write: Any) -> str:
    """Returns lines: a title with the names of columns, and a line for each row."""
    lines = [[title, *names]]
    lines += [[name, *map(write, values)] for name, values in rows.items()]
    if not rows:
        lines.append(["nothing", *("" for _ in names)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def _write_setting(value: Any) -> str:
    if value is None:
        return _ABSENT
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _write_figure(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.4f}"
