"""Flags become one frozen `Config` here. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from absl import flags

from simclr_tf import flag_definitions
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
    "torch_normalization",
    "stem_relu",
)
# Set by a checkpoint, not by the user.
NOT_FLAGS = ("explicit", "torch_normalization", "stem_relu")


@dataclasses.dataclass(frozen=True)
class Config:
    """What was asked. Fields are the flags of `flag_definitions.py`, with their meaning."""

    train_mode: str
    mode: str
    model_dir: str
    checkpoint: str | None
    allow_partial_checkpoint: bool
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
    export_precision: str
    format: str
    train_summary_steps: int
    eval_name: str | None
    precision: str
    strategy: str
    num_virtual_devices: int
    steps_per_loop: int
    jit_compile: bool
    use_tpu: bool
    tpu_name: str | None
    tpu_zone: str | None
    gcp_project: str | None
    master: str | None
    explicit: frozenset[str] = frozenset()
    """Names of the flags that the user gave, as against defaults."""
    torch_normalization: tuple[float, ...] | None = None
    """Set by a checkpoint that came from PyTorch: the network is laid out as torchvision's, and
    takes off the mean and divides by the standard deviation of red, green and blue itself."""
    stem_relu: bool = True
    """Whether the first normalization is followed by ReLU: not so in what is made of the layers of
    lightly's ResNetGenerator."""

    @property
    def pretraining(self) -> bool:
        return self.train_mode == "pretrain"

    @property
    def on_tpu(self) -> bool:
        return self.use_tpu or self.strategy == "tpu"

    @property
    def cifar_stem(self) -> bool:
        return self.image_size <= CIFAR_STEM_UP_TO

    def to_json(self) -> dict[str, Any]:
        """Returns every field but `explicit`, JSON-serialisable."""
        fields = dataclasses.asdict(self)
        del fields["explicit"]
        # JSON has no tuples: what is read back must equal what was written.
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


def from_flags(values: flags.FlagValues) -> Config:
    """Builds the configuration; `validation.check` says whether it can work.

    Raises:
      UserError: a list holds something else than numbers.
    """
    names = [f.name for f in dataclasses.fields(Config) if f.name not in NOT_FLAGS]
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
    return Config(**fields, explicit=frozenset(n for n in names if values[n].present))


def defaults() -> Config:
    """Returns the configuration of a command without flags."""
    values = flags.FlagValues()
    flag_definitions.define(values)
    values(["simclr_tf"])
    return from_flags(values)


def scaled_learning_rate(base: float, scaling: str, batch_size: int) -> float:
    """Peak learning rate (SimCLR appendix B.1): linear in batch / 256, or sqrt(batch)."""
    return base * batch_size / 256 if scaling == "linear" else base * math.sqrt(batch_size)


def total_steps(train_steps: int, train_epochs: int, examples: int, batch_size: int) -> int:
    """Steps to train: `train_steps` if given, else the reference's rounding of the epochs."""
    return train_steps or examples * train_epochs // batch_size + 1


def steps_of_epochs(epochs: float, examples: int, batch_size: int) -> int:
    """Steps of `epochs` epochs, rounded down as the reference's warm-up."""
    return int(epochs * examples // batch_size)
