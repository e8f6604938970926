"""What a run's folder tells of it, and which figures are of the encoder that it holds now."""

from __future__ import annotations

import dataclasses
from typing import Any

from simclr_tf import paths
from simclr_tf.checkpoints import fingerprint
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.runs.environment import read_environment
from simclr_tf.runs.evaluation_files import Row, read_rows
from simclr_tf.runs.folder import check_is_no_file, stored_config, stored_plan
from simclr_tf.runs.frozen import FrozenEncoder
from simclr_tf.runs.identity import GIVEN, as_stored
from simclr_tf.runs.initial_weights import step_of
from simclr_tf.runs.moved import read
from simclr_tf.training.metrics_file import MetricsFile

PROBE, RESULT = "probe.json", "result.json"


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run has written down.

    Attributes:
      folder: its model_dir.
      config: its own.
      given: which of that was given on its command line.
      plan: of plan.json.
      lines: of metrics.jsonl.
      probe: of probe.json.
      rows: of evaluation.json.
      result: of result.json.
      environment: where it was started, the last time; empty where nobody noted it.
    """

    folder: str
    config: Config
    given: dict[str, Any]
    plan: dict[str, Any]
    lines: list[dict[str, Any]]
    probe: dict[str, Any]
    rows: list[Row]
    result: dict[str, Any]
    environment: dict[str, Any]

    @property
    def name(self) -> str:
        return paths.last_name(paths.absolute(self.folder))


def open_record(config: Config, folder: str) -> Record:
    """Reads the files of the run in `folder`.

    Raises:
      SettingError: there is none.
    """
    check_is_no_file(folder)
    stored = stored_config(folder)
    if stored is None:
        raise SettingError(
            "model_dir", folder, "holds no run: there is no config.json", "give a run's folder"
        )
    return Record(
        folder,
        as_stored(config.replace(model_dir=folder), stored),
        read(folder, GIVEN),
        stored_plan(folder),
        MetricsFile(folder).read(),
        read(folder, PROBE),
        read_rows(folder),
        read(folder, RESULT),
        (read_environment(folder) or [{}])[-1],
    )


def measured_of(frozen: FrozenEncoder) -> dict[str, Any]:
    """Returns what figures are of: the encoder, and by which data they were measured, JSON."""
    data = frozen.config.data
    return {
        "dataset": frozen.train_set.name,
        "eval_dataset": frozen.test_set.name,
        "train_split": data.train_split,
        "eval_split": data.eval_split,
        "step": 0 if frozen.weights is None else step_of(frozen.weights),
        "encoder_sha256": fingerprint({"encoder": frozen.encoder}),
    }
