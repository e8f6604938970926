"""Flags become one frozen `Config` here, checked before anything slow starts. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from absl import flags

from simclr_tf.errors import UserError

RESNET_DEPTHS = (18, 34, 50, 101, 152, 200)
CIFAR_STEM_UP_TO = 32  # pixels; the reference uses the small stem at and below this size

# What makes a checkpoint's variables what they are; read from the checkpoint when fine-tuning.
ARCHITECTURE = (
    "resnet_depth",
    "width_multiplier",
    "sk_ratio",
    "se_ratio",
    "proj_head_mode",
    "proj_out_dim",
    "num_proj_layers",
)

# What may change when a run is continued; everything else makes it another run.
NOT_IDENTITY = frozenset(
    "mode model_dir data_dir on_bad_image eval_split eval_batch_size eval_steps eval_name "
    "label_fractions augment_on checkpoint_epochs checkpoint_steps keep_checkpoint_max "
    "keep_hub_module_max train_summary_steps use_tpu tpu_name tpu_zone gcp_project master "
    "explicit".split()
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What was asked. Fields are the flags of `flag_definitions.py`, with their meaning."""

    train_mode: str
    mode: str
    model_dir: str
    checkpoint: str | None
    seed: int
    dataset: str
    data_dir: str | None
    folder_labels: str
    on_bad_image: str
    train_split: str
    eval_split: str
    image_size: int
    cache_dataset: bool
    color_jitter_strength: float
    use_blur: bool
    augment_on: str
    resnet_depth: int
    width_multiplier: float
    sk_ratio: float
    se_ratio: float
    batch_norm_decay: float
    global_bn: bool
    proj_head_mode: str
    proj_out_dim: int
    num_proj_layers: int
    temperature: float
    hidden_norm: bool
    lineareval_while_pretraining: bool
    train_batch_size: int
    train_epochs: int
    train_steps: int
    eval_batch_size: int
    eval_steps: int
    optimizer: str
    learning_rate: float
    learning_rate_scaling: str
    warmup_epochs: float
    weight_decay: float
    momentum: float
    fine_tune_after_block: int
    ft_proj_selector: int
    zero_init_logits_layer: bool
    label_fractions: tuple[float, ...]
    checkpoint_epochs: int
    checkpoint_steps: int
    keep_checkpoint_max: int
    keep_hub_module_max: int
    train_summary_steps: int
    eval_name: str | None
    precision: str
    use_tpu: bool
    tpu_name: str | None
    tpu_zone: str | None
    gcp_project: str | None
    master: str | None
    explicit: frozenset[str] = frozenset()
    """Names of the flags that the user gave, as against defaults."""

    @property
    def pretraining(self) -> bool:
        return self.train_mode == "pretrain"

    @property
    def cifar_stem(self) -> bool:
        return self.image_size <= CIFAR_STEM_UP_TO

    def to_json(self) -> dict[str, Any]:
        """Returns every field but `explicit`, JSON-serialisable."""
        fields = dataclasses.asdict(self)
        del fields["explicit"]
        return {**fields, "label_fractions": list(self.label_fractions)}


def from_flags(values: flags.FlagValues) -> Config:
    """Builds and checks the configuration.

    Raises:
      UserError: a value is out of range, or two settings cannot work together.
    """
    names = [f.name for f in dataclasses.fields(Config) if f.name != "explicit"]
    fields: dict[str, Any] = {name: values[name].value for name in names}
    fields["model_dir"] = fields["model_dir"] or ""
    fractions: list[str] = fields["label_fractions"]
    try:
        fields["label_fractions"] = tuple(map(float, fractions))
    except ValueError:
        raise UserError(
            f"--label_fractions={','.join(fractions)} must be numbers "
            "separated by commas, such as 0.01,0.1,1"
        ) from None
    config = Config(**fields, explicit=frozenset(n for n in names if values[n].present))
    check(config)
    return config


def check(config: Config) -> None:
    """Raises UserError for the first setting that cannot work, before data or devices are known."""

    def require(holds: bool, name: str, remedy: str) -> None:
        if not holds:
            raise UserError(f"--{name}={getattr(config, name)} {remedy}")

    for name in ("train_batch_size", "eval_batch_size", "image_size", "proj_out_dim"):
        require(getattr(config, name) >= 1, name, "must be at least 1")
    for name in ("width_multiplier", "temperature", "learning_rate"):
        value = getattr(config, name)
        require(value > 0 and math.isfinite(value), name, "must be above 0")
    for name in (
        *("sk_ratio", "se_ratio", "weight_decay", "warmup_epochs", "color_jitter_strength"),
        *("eval_steps", "train_steps", "checkpoint_steps", "train_summary_steps"),
        *("keep_checkpoint_max", "keep_hub_module_max", "seed"),
    ):
        value = getattr(config, name)
        require(value >= 0 and math.isfinite(value), name, "must not be negative")
    require(
        config.train_epochs >= 1 or config.train_steps > 0, "train_epochs", "must be at least 1"
    )
    require(config.checkpoint_epochs >= 1, "checkpoint_epochs", "must be at least 1")
    require(config.num_proj_layers >= 1, "num_proj_layers", "must be at least 1")
    require(
        config.resnet_depth in RESNET_DEPTHS,
        "resnet_depth",
        f"must be one of {', '.join(map(str, RESNET_DEPTHS))}",
    )
    require(
        round(64 * config.width_multiplier) >= 1,
        "width_multiplier",
        "leaves no channel; give at least 0.0157",
    )
    for name in ("batch_norm_decay", "momentum"):
        require(0 <= getattr(config, name) < 1, name, "must be at least 0 and below 1")
    require(-1 <= config.fine_tune_after_block <= 4, "fine_tune_after_block", "must be -1 to 4")
    for fraction in config.label_fractions:
        require(0 < fraction <= 1, "label_fractions", "must be above 0 and at most 1")
    _check_combinations(config)


def _check_combinations(config: Config) -> None:
    if config.pretraining and config.mode != "probe":
        for name, default in (
            ("fine_tune_after_block", -1),
            ("ft_proj_selector", 0),
            ("zero_init_logits_layer", False),
        ):
            if getattr(config, name) != default:
                raise UserError(
                    f"--{name}={getattr(config, name)} is for fine-tuning and cannot be used "
                    "while pre-training; add --train_mode=finetune or remove it"
                )
        if config.train_batch_size < 2 and config.mode != "eval":
            raise UserError(
                f"--train_batch_size={config.train_batch_size} leaves no negative pairs; "
                "give at least 2"
            )
    # --mode=eval takes the data set from the run that it evaluates.
    takes_labels = config.dataset.startswith("folder:") or config.mode == "eval"
    if config.folder_labels != "none" and not takes_labels:
        raise UserError(
            f"--folder_labels={config.folder_labels} is for your own pictures; add "
            f"--dataset=folder:/PATH, or remove it ({config.dataset} brings its labels)"
        )
    if config.mode == "eval" and not config.model_dir:
        raise UserError("--mode=eval needs --model_dir, the run whose checkpoints it evaluates")
    if config.tpu_name and not config.use_tpu:
        raise UserError(f"--tpu_name={config.tpu_name} does nothing without --use_tpu; add it")
    if "eval" in config.mode and config.pretraining and not config.lineareval_while_pretraining:
        raise UserError(
            f"--mode={config.mode} has nothing to evaluate with "
            "--lineareval_while_pretraining=false; use --mode=train, then --mode=probe"
        )


def scaled_learning_rate(base: float, scaling: str, batch_size: int) -> float:
    """Peak learning rate (SimCLR appendix B.1): linear in batch / 256, or sqrt(batch)."""
    return base * batch_size / 256 if scaling == "linear" else base * math.sqrt(batch_size)


def total_steps(train_steps: int, train_epochs: int, examples: int, batch_size: int) -> int:
    """Steps to train: `train_steps` if given, else the reference's rounding of the epochs."""
    return train_steps or examples * train_epochs // batch_size + 1


def steps_of_epochs(epochs: float, examples: int, batch_size: int) -> int:
    """Steps of `epochs` epochs, rounded down as the reference's warm-up."""
    return int(epochs * examples // batch_size)


def adopt_architecture(config: Config, stored: Mapping[str, Any], source: str) -> Config:
    """Returns `config` with a checkpoint's architecture and image size.

    Args:
      config: what was asked.
      stored: the checkpoint's metadata, with `architecture` and `preprocessing`.
      source: the checkpoint, for messages.

    Raises:
      UserError: a flag that the user gave contradicts the checkpoint; names both values.
    """
    taken: dict[str, Any] = {}
    for name in ARCHITECTURE:
        there, here = stored["architecture"][name], getattr(config, name)
        if name in config.explicit and there != here:
            raise UserError(
                f"--{name}={here} contradicts {source}, which has {name}={there}; "
                "remove the flag or give another --checkpoint"
            )
        taken[name] = there
    if "image_size" not in config.explicit:
        taken["image_size"] = stored["preprocessing"]["image_size"]
    adopted = dataclasses.replace(config, **taken)
    if adopted.cifar_stem != stored["architecture"]["cifar_stem"]:
        raise UserError(
            f"--image_size={config.image_size} contradicts {source}, trained at image_size="
            f"{stored['preprocessing']['image_size']}: {CIFAR_STEM_UP_TO} px and below have "
            "another first layer"
        )
    check_projection_selector(adopted)
    return adopted


def check_projection_selector(config: Config) -> None:
    """Raises UserError where `ft_proj_selector` names a layer that the projection head lacks."""
    layers = {"none": 0, "linear": 1, "nonlinear": config.num_proj_layers}[config.proj_head_mode]
    if not -1 <= config.ft_proj_selector <= layers:
        raise UserError(
            f"--ft_proj_selector={config.ft_proj_selector} must be -1 to {layers}, the number of "
            "layers of the projection head"
        )


def adopt_run(config: Config, stored: Mapping[str, Any]) -> Config:
    """Returns `config` with the identity of the run that `model_dir` holds (for --mode=eval).

    Raises:
      UserError: a flag that the user gave contradicts the run.
    """
    check_same_run(config, stored, only=config.explicit)
    identity = {k: v for k, v in stored.items() if k not in NOT_IDENTITY}
    return dataclasses.replace(config, **identity)


def check_same_run(
    config: Config, stored: Mapping[str, Any], only: frozenset[str] | None = None
) -> None:
    """Raises UserError where the run in `model_dir` was configured otherwise.

    Args:
      config: what was asked.
      stored: the run's config.json.
      only: the fields to compare; all that make a run's identity if None.
    """
    for name, here in config.to_json().items():
        if name in NOT_IDENTITY or (only is not None and name not in only):
            continue
        if name in stored and stored[name] != here:
            raise UserError(
                f"--model_dir={config.model_dir} holds a run with {name}={stored[name]}, not "
                f"{here}; give the same flags to continue it, or another --model_dir"
            )
