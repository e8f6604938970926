"""What was asked, as frozen dataclasses by theme. Flags become one `Config` here. No TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from simclr_tf import flag_definitions, help_page, paths
from simclr_tf.architecture import Architecture, uses_cifar_stem
from simclr_tf.bounds import RangeOr
from simclr_tf.errors import SettingError, UserError
from simclr_tf.packaged_recipes import find_recipes

# Of an architecture, but not flags: a checkpoint that came from PyTorch sets them.
_NOT_FLAGS = {"torch_normalization": None, "stem_relu": True, "stem_padding": 1}


@dataclasses.dataclass(frozen=True)
class Task:
    """What to do, with which weights, and where."""

    train_mode: str
    mode: str
    model_dir: str
    checkpoint: str | None
    allow_partial_checkpoint: bool
    trust_checkpoint: bool
    seed: int
    plan_hours: float

    @property
    def pretraining(self) -> bool:
        return self.train_mode == "pretrain"

    @property
    def distilling(self) -> bool:
        return self.train_mode == "distill"


@dataclasses.dataclass(frozen=True)
class Data:
    """Which images, and how they are read."""

    dataset: str
    data_dir: str | None
    folder_labels: str
    on_bad_image: str
    train_split: str
    eval_split: str
    eval_dataset: str | None
    labels_per_class: int
    image_size: int
    alpha_background: str
    cache_dataset: bool


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How views are made, and where."""

    min_crop_area: float
    color_jitter_strength: float
    use_blur: bool
    augment_on: str


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """How batch statistics are gathered."""

    batch_norm_decay: float
    global_bn: bool


@dataclasses.dataclass(frozen=True)
class Loss:
    """What pre-training minimizes."""

    loss: str
    temperature: float
    hidden_norm: bool
    lineareval_while_pretraining: bool

    @property
    def title(self) -> str:
        return {"nt_xent": "NT-Xent", "dcl": "DCL", "supcon": "SupCon"}[self.loss]


@dataclasses.dataclass(frozen=True)
class Optimization:
    """How long, in which batches and by which rule weights are trained."""

    train_batch_size: int
    micro_batch_size: int | str
    train_epochs: int
    train_steps: int
    optimizer: str
    learning_rate: float
    learning_rate_scaling: str
    warmup_epochs: float
    weight_decay: float
    momentum: float
    on_nonfinite: str

    @property
    def pairs_at_a_time(self) -> int:
        """How many pairs, or images, a step encodes at a time: all, unless told otherwise."""
        micro, batch = self.micro_batch_size, self.train_batch_size
        return micro if isinstance(micro, int) and 0 < micro < batch else batch

    @property
    def in_parts(self) -> bool:
        """Whether that is less than the batch."""
        return self.pairs_at_a_time < self.train_batch_size


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """What is trained of a pre-trained network, and what the classifier reads."""

    fine_tune_after_block: int
    ft_proj_selector: int
    zero_init_logits_layer: bool


@dataclasses.dataclass(frozen=True)
class Distillation:
    """Whose predictions a student learns, and how."""

    teacher: str | None
    distill_temperature: float
    distill_weight: float

    @property
    def reads_labels(self) -> bool:
        """Whether labels are learned from, too."""
        return self.distill_weight < 1


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a network is measured."""

    eval_batch_size: int
    eval_steps: int
    eval_name: str | None
    label_fractions: tuple[float, ...]
    protocol: tuple[str, ...]
    seeds: int
    knn_k: tuple[int, ...]
    knn_temperature: tuple[float, ...]
    knn_every_epochs: int
    linear_augmentation: bool
    transfer_datasets: tuple[str, ...]
    step: int

    @property
    def knn_pairs(self) -> tuple[tuple[int, float], ...]:
        """Each k with its temperature; a single one of either goes with all of the other."""
        count = max(len(self.knn_k), len(self.knn_temperature))
        ks = self.knn_k * count if len(self.knn_k) == 1 else self.knn_k
        temperatures = self.knn_temperature
        temperatures = temperatures * count if len(temperatures) == 1 else temperatures
        return tuple(zip(ks, temperatures, strict=True))


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Which features become files, and where."""

    layer: int | str
    output: str | None
    query: str | None


@dataclasses.dataclass(frozen=True)
class Files:
    """When files are written, and how many are kept."""

    checkpoint_epochs: int
    checkpoint_steps: int
    keep_checkpoint_max: int
    keep_hub_module_max: int
    train_summary_steps: int
    profile_steps: str | None


@dataclasses.dataclass(frozen=True)
class Export:
    """In which form a network is handed on."""

    format: str
    export_precision: str


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Which devices compute, and how."""

    precision: str
    strategy: str
    num_virtual_devices: int
    steps_per_loop: int | str
    jit_compile: bool
    use_tpu: bool
    tpu_name: str | None
    tpu_zone: str | None
    gcp_project: str | None
    master: str | None

    @property
    def on_tpu(self) -> bool:
        return self.use_tpu or self.strategy == "tpu"


@dataclasses.dataclass(frozen=True)
class Config:
    """What was asked. The fields of its groups are the flags of `flag_definitions.py`."""

    task: Task
    data: Data
    augmentation: Augmentation
    architecture: Architecture
    batch_norm: BatchNorm
    loss: Loss
    optimization: Optimization
    finetuning: Finetuning
    distillation: Distillation
    evaluation: Evaluation
    embedding: Embedding
    files: Files
    export: Export
    hardware: Hardware
    given: frozenset[str]
    """Names of the flags that the user gave, as against defaults."""
    runs: tuple[str, ...] = ()
    """Folders of runs, which stand on the command line without a flag."""

    def flat(self) -> dict[str, Any]:
        """Returns the value of every setting by its name."""
        groups = (getattr(self, name) for name in _CLASSES)
        values = {k: v for group in groups for k, v in vars(group).items()}
        del values["cifar_stem"]  # follows from image_size
        return values

    def to_json(self) -> dict[str, Any]:
        """Returns `flat()` as JSON reads it back, with no tuples, and with absolute paths.

        Who goes on from another working directory means the same files, and writes the same file.
        """
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in self.flat().items()}
        for row in flag_definitions.rows():
            # A model_dir that is not chosen yet is "".
            if row.path and values[row.name]:
                values[row.name] = row.path.map(paths.absolute, values[row.name])
        return values

    def replace(self, **changes: Any) -> Config:
        """Returns a copy with other values of the settings that are named."""
        return _from_values({**self.flat(), **changes}, self.given, self.runs)


_CLASSES: dict[str, type] = {
    "task": Task,
    "data": Data,
    "augmentation": Augmentation,
    "architecture": Architecture,
    "batch_norm": BatchNorm,
    "loss": Loss,
    "optimization": Optimization,
    "finetuning": Finetuning,
    "distillation": Distillation,
    "evaluation": Evaluation,
    "embedding": Embedding,
    "files": Files,
    "export": Export,
    "hardware": Hardware,
}


def parse(arguments: Sequence[str]) -> Config:
    """Builds the configuration of a command line; `validation.check` says whether it can work.

    Args:
      arguments: `--name=value`, without the name of the program.

    Raises:
      HelpWanted: help is asked for.
      flags.Error: absl's, for what is no flag or not of its type.
      UserError: something else than a flag, a list of something else than numbers, or what cannot
        be a path.
    """
    values = flags.FlagValues()
    flag_definitions.define(values)
    help_page.define(values)
    values.set_gnu_getopt(True)  # flags may stand behind the folders of runs
    extra = values(["simclr_tf", *find_recipes(arguments)])[1:]
    if extra and values["mode"].value not in ("compare", "report"):
        raise UserError(f"{extra[0]} is not a flag; flags are written --name=value")
    names = [row.name for row in flag_definitions.rows()]
    given = frozenset(name for name in names if values[name].present)
    settings: dict[str, Any] = {name: values[name].value for name in names}
    for row in flag_definitions.rows():
        if row.path:
            clean = functools.partial(paths.clean, field=row.name, prefix=row.path.prefix)
            settings[row.name] = row.path.map(clean, settings[row.name])
        if isinstance(row.default, tuple):
            settings[row.name] = _parse_list(row, settings[row.name])
    settings["model_dir"] = settings["model_dir"] or ""
    runs = tuple(paths.clean(run) for run in extra)
    return _from_values({**settings, **_NOT_FLAGS}, given, runs)


def _parse_list(row: flag_definitions.Flag, items: Sequence[str]) -> tuple[Any, ...]:
    """Returns what a list flag holds, each of the type of its default's items."""
    kind = type(row.default[0]) if row.default else str
    try:
        return tuple(map(kind, items))
    except ValueError:
        numbers = "whole numbers" if kind is int else "numbers"
        shown = ",".join(f"{number:g}" for number in row.default)
        raise SettingError(
            row.name, items, f"must be {numbers} separated by commas, such as {shown}"
        ) from None


def from_json(content: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Returns the settings that a stored `to_json` holds, of the types that `config` has.

    Names that this version does not know are left out: another version wrote them.

    Raises:
      SettingError: a value is of another type.
    """
    known = config.flat()
    settings: dict[str, Any] = {}
    for name in content.keys() & known.keys():
        value = content[name]
        value = tuple(value) if isinstance(value, list) else value
        if not _alike(name, value):
            raise SettingError(name, value, "is of another type than this setting")
        settings[name] = value
    return settings


def _from_values(
    settings: dict[str, Any], given: frozenset[str], runs: tuple[str, ...] = ()
) -> Config:
    settings = {**settings, "cifar_stem": uses_cifar_stem(settings["image_size"])}
    groups = {}
    for name, group in _CLASSES.items():
        fields = (field.name for field in dataclasses.fields(group))
        groups[name] = group(**{field: settings.pop(field) for field in fields})
    if settings:
        raise TypeError(f"no such settings: {', '.join(sorted(settings))}")
    return Config(**groups, given=given, runs=runs)


def _default(name: str) -> Any:
    return {**{row.name: row.default for row in flag_definitions.rows()}, **_NOT_FLAGS}[name]


def _alike(name: str, value: Any) -> bool:
    """Whether a value that was read from JSON has the type of a setting."""
    bound = next((row.bound for row in flag_definitions.rows() if row.name == name), None)
    if isinstance(bound, RangeOr):
        return bound.allows(value)
    default = _default(name)
    if default is None:
        return value is None or isinstance(value, (str, tuple))
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(default)
