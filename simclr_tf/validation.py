"""What cannot work, or not together, is told before anything slow starts. No TensorFlow here."""

from __future__ import annotations

import math

from simclr_tf.config import RESNET_DEPTHS, Config
from simclr_tf.errors import UserError


def check(config: Config) -> None:
    """Raises UserError for the first setting that cannot work, before data or devices are known."""

    def require(holds: bool, name: str, remedy: str) -> None:
        if not holds:
            raise UserError(f"--{name}={getattr(config, name)} {remedy}")

    for name in (
        *("train_batch_size", "eval_batch_size", "image_size", "proj_out_dim"),
        "num_virtual_devices",
    ):
        require(getattr(config, name) >= 1, name, "must be at least 1")
    for name in ("width_multiplier", "temperature", "learning_rate"):
        value = getattr(config, name)
        require(value > 0 and math.isfinite(value), name, "must be above 0")
    for name in (
        *("sk_ratio", "se_ratio", "weight_decay", "warmup_epochs", "color_jitter_strength"),
        *("eval_steps", "train_steps", "checkpoint_steps", "train_summary_steps"),
        *("keep_checkpoint_max", "keep_hub_module_max", "steps_per_loop", "seed"),
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
    _check_devices(config)


def _check_combinations(config: Config) -> None:
    if config.pretraining and config.mode not in ("probe", "export"):
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
    if config.allow_partial_checkpoint and not config.checkpoint:
        raise UserError("--allow_partial_checkpoint does nothing without --checkpoint; add it")
    if config.mode == "eval" and not (config.model_dir or config.checkpoint):
        raise UserError(
            "--mode=eval needs --model_dir, the run whose checkpoints it evaluates, or --checkpoint"
        )
    if config.mode == "export" and not config.checkpoint:
        raise UserError("--mode=export needs --checkpoint, the weights to export")
    if config.mode == "export" and config.allow_partial_checkpoint:
        raise UserError(
            "--allow_partial_checkpoint is for training; remove it: --mode=export writes networks "
            "that are restored as a whole"
        )
    if "format" in config.explicit and config.mode != "export":
        raise UserError(f"--format={config.format} does nothing without --mode=export; add it")
    if config.format != "saved_model" and config.export_precision != "float32":
        raise UserError(
            f"--export_precision={config.export_precision} is for SavedModels; remove it, or "
            f"--format={config.format}"
        )
    if "eval" in config.mode and config.pretraining and not config.lineareval_while_pretraining:
        raise UserError(
            f"--mode={config.mode} has nothing to evaluate with "
            "--lineareval_while_pretraining=false; use --mode=train, then --mode=probe"
        )


def _check_devices(config: Config) -> None:
    if config.use_tpu and config.strategy not in ("auto", "tpu"):
        raise UserError(
            f"--strategy={config.strategy} contradicts --use_tpu, which is --strategy=tpu; "
            "remove one of the two"
        )
    if config.tpu_name and not config.on_tpu:
        raise UserError(f"--tpu_name={config.tpu_name} does nothing without --use_tpu; add it")
    if config.num_virtual_devices > 1 and (
        config.on_tpu or config.strategy in ("one_device", "multi_worker")
    ):
        strategy = "tpu" if config.on_tpu else config.strategy
        raise UserError(
            f"--num_virtual_devices={config.num_virtual_devices} splits this machine's CPU for "
            f"--strategy=mirrored and does nothing with --strategy={strategy}; remove it"
        )
