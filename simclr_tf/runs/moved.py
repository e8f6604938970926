"""What a run was started from and may lie elsewhere now: pictures, labels, weights, a teacher.

Its content decides, which the run has noted, not its place.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf import files, flag_definitions
from simclr_tf.checkpoints import StoredWeights, find_weights, numbered, stored_fingerprint
from simclr_tf.config import Config
from simclr_tf.data import folder, folder_files, folder_labels

PICTURES = "folder.json"
INITIAL_WEIGHTS = "initial_weights.json"
TEACHER = "teacher.json"

_PATHS = {row.name: row.path for row in flag_definitions.rows() if row.path}


def is_same(name: str, before: Any, now: Any, model_dir: str) -> bool:
    """Says whether two values of a setting are paths of one place, or of the same content.

    Args:
      name: of the setting.
      before: its value when the run was last started.
      now: its value now.
      model_dir: of the run.

    Raises:
      UserError: there is nothing of the kind at the path that is given now.
    """
    if name not in _PATHS:
        return False
    if _PATHS[name].same(before, now):
        return True
    if None in map(_PATHS[name].path_of, (before, now)):
        return False
    noted, found = _compare(name, now, model_dir)
    same = found is not None and noted == found
    if same:
        print(f"{name} has moved from {before} to {now}; its content is the same")
    return same


def find_labels(config: Config, dataset: str) -> Config:
    """Returns `config` with the place of its CSV file of labels, which may lie beside pictures.

    Args:
      config: what was asked.
      dataset: whose pictures they are.
    """
    root = _PATHS["dataset"].path_of(dataset) or _PATHS["dataset"].path_of(config.data.eval_dataset)
    if root is None:
        return config
    return config.replace(folder_labels=folder_labels.find_file(config.data.folder_labels, root))


def reads_split_folders(model_dir: str) -> bool | None:
    """Says whether the run in `model_dir` takes its splits from folders; None if it has not begun.

    Runs of versions that did not write it down never do.
    """
    note = read(model_dir, PICTURES)
    if not note and numbered.is_empty(model_dir):
        return None
    return bool(note.get("split_folders", False))


def note_initial_weights(model_dir: str, weights: StoredWeights) -> None:
    """Writes down which weights the run in `model_dir` starts from."""
    content = {"checkpoint": weights.prefix, "index_sha256": _index_sha256(weights)}
    files.write_json(files.join(model_dir, INITIAL_WEIGHTS), content)


def labels_sha256(folder_labels: str) -> str | None:
    """Returns the hash of the file that `folder_labels` names; None where it names none."""
    path = _PATHS["folder_labels"].path_of(folder_labels)
    return files.sha256(path) if path and tf.io.gfile.exists(path) else None


def read(model_dir: str, name: str) -> dict[str, Any]:
    """Returns what a JSON file of a run says, empty where it says nothing."""
    try:
        content = files.read_json(files.join(model_dir, name))
    except ValueError:  # damaged: then nothing is known
        content = None
    return content if isinstance(content, dict) else {}


def _compare(name: str, now: str, model_dir: str) -> tuple[Any, Any]:
    """Returns what the run has noted of a setting's content, and what of that there is now."""
    if name == "checkpoint":
        weights = find_weights(now, trust_checkpoint=True)  # nothing is taken from there
        note = read(model_dir, INITIAL_WEIGHTS)
        return note.get("index_sha256"), _index_sha256(weights)
    if name == "teacher":
        weights = find_weights(now, trust_checkpoint=True, setting=name)
        return read(model_dir, TEACHER).get("fingerprint"), stored_fingerprint(weights)
    note = read(model_dir, PICTURES)
    if name == "folder_labels":
        return note.get("labels_sha256"), labels_sha256(now)
    listing = folder_files.list_files(now, folder.root_of(now))
    return note.get("fingerprint"), folder_files.fingerprint(listing.paths)


def _index_sha256(weights: StoredWeights) -> str:
    """The index of a TensorFlow checkpoint holds a checksum of every tensor."""
    return files.sha256(f"{weights.prefix}.index")
