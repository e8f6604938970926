"""What cannot work, or not together, is told before anything slow starts. No TensorFlow here."""

from __future__ import annotations

from simclr_tf import flag_definitions, paths
from simclr_tf.bounds import FEATURE_FILES
from simclr_tf.config import Config
from simclr_tf.errors import SettingError, UserError

_TRAINING = ("train", "train_then_eval", "plan")
_MEASURING = ("probe", "evaluate", "embed", "neighbors", "report")
OF_EVALUATE = ("protocol", "seeds", "knn_k", "knn_temperature", "linear_augmentation")
"""Settings that `mode=evaluate` alone reads."""


def check(config: Config) -> None:
    """Raises UserError for the first setting that cannot work, before data or devices are known."""
    _check_bounds(config)
    _check_length(config)
    _check_paths(config)
    _check_task(config)
    _check_distillation(config)
    _check_protocols(config)
    _check_embedding(config)
    _check_export(config)
    _check_devices(config)


def _check_bounds(config: Config) -> None:
    settings = config.flat()
    for row in flag_definitions.rows():
        value = settings[row.name]
        if row.bound is None:
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if not row.bound.allows(item):
                raise SettingError(row.name, value, f"must be {row.bound}")
    config.architecture.check()


def _check_length(config: Config) -> None:
    length = config.optimization
    if not (length.train_epochs or length.train_steps):
        raise SettingError("train_epochs", 0, "must be at least 1, unless `train_steps` is given")


def _check_task(config: Config) -> None:
    task = config.task
    if task.pretraining and task.mode not in (*_MEASURING, "compare", "export"):
        _check_pretraining(config)
    datasets = [("dataset", config.data.dataset), ("eval_dataset", config.data.eval_dataset or "")]
    datasets += [("transfer_datasets", name) for name in config.evaluation.transfer_datasets]
    for field, name in datasets:
        if name.startswith(("/", "~", ".")):
            raise SettingError(
                field,
                name,
                "is a path, not the name of a data set",
                f"for your own pictures, give `{field}=folder:{name}`",
            )
    # These take the data set from the run that they measure.
    measures = task.mode in _MEASURING and bool(task.model_dir)
    from_run = task.mode == "eval" or measures
    takes_labels = from_run or any(name.startswith("folder:") for _, name in datasets)
    if config.data.folder_labels != "none" and not takes_labels:
        raise SettingError(
            "folder_labels",
            config.data.folder_labels,
            "is for your own pictures",
            f"add `dataset=folder:/PATH`, or remove it ({config.data.dataset} brings its labels)",
        )
    if config.data.labels_per_class and task.pretraining and task.mode in _TRAINING:
        raise SettingError(
            "labels_per_class",
            config.data.labels_per_class,
            "is for fine-tuning and cannot be used while pre-training",
            "add `train_mode=finetune` or `mode=probe`, or remove it",
        )
    for name, paths_of_weights in (
        ("allow_partial_checkpoint", [task.checkpoint]),
        ("trust_checkpoint", [task.checkpoint, config.distillation.teacher]),
    ):
        if getattr(task, name) and not any(paths_of_weights):
            raise SettingError(name, None, "does nothing without `checkpoint`", "add it")
    if config.optimization.micro_batch_size and not task.pretraining and task.mode in _TRAINING:
        raise SettingError(
            "micro_batch_size",
            config.optimization.micro_batch_size,
            "is for pre-training, whose loss compares all of a batch",
            "remove it, or give a smaller `train_batch_size`",
        )
    if "step" in config.given and task.mode != "show_views":
        raise SettingError(
            "step", config.evaluation.step, "does nothing without `mode=show_views`", "add it"
        )
    if task.plan_hours and (task.mode != "plan" or not task.pretraining or task.checkpoint):
        raise SettingError(
            "plan_hours",
            f"{task.plan_hours:g}",
            "is for new networks, with `mode=plan` and `train_mode=pretrain`",
            "add them, or remove it",
        )
    if task.mode == "eval" and not (task.model_dir or task.checkpoint):
        raise SettingError(
            "mode",
            "eval",
            "needs `model_dir`, the run whose checkpoints it evaluates, or `checkpoint`",
        )
    counts_hits = task.mode in ("eval", "train_then_eval")
    if counts_hits and task.pretraining and not config.loss.lineareval_while_pretraining:
        raise SettingError(
            "mode",
            task.mode,
            "has nothing to evaluate with `lineareval_while_pretraining=false`",
            "use `mode=train`, then `mode=probe`",
        )


def _check_distillation(config: Config) -> None:
    asked, task = config.distillation, config.task
    if not task.distilling:
        for name in vars(asked):
            if name in config.given:
                value = getattr(asked, name)
                raise SettingError(
                    name, value, "does nothing without `train_mode=distill`", "add it"
                )
    if not task.distilling or task.mode not in _TRAINING:
        return
    if not asked.teacher:
        raise SettingError(
            "train_mode",
            "distill",
            "needs `teacher`, whose predictions the student learns",
            "give the model_dir of a fine-tuned run",
        )
    if task.model_dir and paths.same_place(asked.teacher, task.model_dir):
        raise SettingError(
            "teacher",
            asked.teacher,
            "is `model_dir`, where the student goes",
            "give another `model_dir`",
        )
    if config.data.labels_per_class and not asked.reads_labels:
        raise SettingError(
            "labels_per_class",
            config.data.labels_per_class,
            "does nothing with `distill_weight=1`, which reads no label",
            "give a `distill_weight` below 1, or remove it",
        )


def _check_protocols(config: Config) -> None:
    asked, task = config.evaluation, config.task
    evaluates = task.mode == "evaluate"
    for name in OF_EVALUATE:
        if name in config.given and not evaluates:
            value = getattr(asked, name)
            raise SettingError(name, value, "does nothing without `mode=evaluate`", "add it")
    for name in ("protocol", "knn_k", "knn_temperature"):
        if not getattr(asked, name):
            raise SettingError(name, None, "is empty", "give one, or leave it out")
    counts = {len(asked.knn_k), len(asked.knn_temperature)} - {1}
    if len(counts) > 1:
        raise SettingError(
            "knn_temperature",
            asked.knn_temperature,
            f"has {len(asked.knn_temperature)} numbers, and `knn_k` {len(asked.knn_k)}",
            "give as many, or one",
        )
    transfers = evaluates and "transfer" in asked.protocol
    if transfers != bool(asked.transfer_datasets):
        missing = "transfer_datasets=NAME,..." if transfers else "protocol=transfer"
        name = "protocol" if transfers else "transfer_datasets"
        value = "transfer" if transfers else asked.transfer_datasets
        raise SettingError(name, value, f"does nothing without `{missing}`", "add it")
    if evaluates and "semi_supervised" in asked.protocol:
        if not task.model_dir:
            raise SettingError(
                "protocol", "semi_supervised", "needs `model_dir`, for the runs that it trains"
            )
        if min(asked.label_fractions, default=1) >= 1:
            raise SettingError(
                "label_fractions",
                asked.label_fractions,
                "has none below 1 for `protocol=semi_supervised`",
                "add 0.01,0.1",
            )
    if task.mode == "compare" and not config.runs:
        raise SettingError("mode", "compare", "needs folders of runs behind it, such as runs/*")
    if asked.knn_every_epochs and not task.pretraining:
        raise SettingError(
            "knn_every_epochs", asked.knn_every_epochs, "is for pre-training", "remove it"
        )


def _check_embedding(config: Config) -> None:
    mode, asked = config.task.mode, config.embedding
    for name, modes in (
        ("layer", ("embed", "neighbors")),
        ("output", ("embed", "neighbors", "report")),
        ("query", ("neighbors",)),
    ):
        if name in config.given and mode not in modes:
            needed = " or ".join(f"`mode={mode}`" for mode in modes)
            raise SettingError(
                name, getattr(asked, name), f"does nothing without {needed}", "add it"
            )
    if mode == "report":
        _check_report(config)
    if mode not in ("embed", "neighbors"):
        return
    if not (asked.output or config.task.model_dir):
        raise SettingError("mode", mode, "needs `output`, where to write, or `model_dir`")
    if mode == "embed" and asked.output and not asked.output.endswith(FEATURE_FILES):
        kinds = ", ".join(FEATURE_FILES)
        raise SettingError("output", asked.output, f"must end in one of {kinds}")


def _check_report(config: Config) -> None:
    task, output = config.task, config.embedding.output
    if not task.model_dir:
        raise SettingError("mode", "report", "needs `model_dir`, the run that it is of")
    if "checkpoint" in config.given:
        raise SettingError(
            "checkpoint",
            task.checkpoint,
            "is not for `mode=report`, which is of the run in `model_dir`",
            "remove it",
        )
    if output and not output.endswith(".html"):
        raise SettingError("output", output, "must end in .html")


def _check_paths(config: Config) -> None:
    for name in ("model_dir", "checkpoint", "teacher"):
        path = config.flat()[name]
        if path and paths.is_remote(path) and paths.is_taken_for_a_pattern(path):
            raise SettingError(
                name,
                path,
                ": TensorFlow finds no weights on a remote file system under a name with [ or \\",
                "give another name",
            )


def _check_pretraining(config: Config) -> None:
    finetuning = config.finetuning
    for name, value, default in (
        ("fine_tune_after_block", finetuning.fine_tune_after_block, -1),
        ("ft_proj_selector", finetuning.ft_proj_selector, 0),
        ("zero_init_logits_layer", finetuning.zero_init_logits_layer, False),
    ):
        if value != default:
            raise SettingError(
                name,
                value,
                "is for fine-tuning and cannot be used while pre-training",
                "add `train_mode=finetune` or remove it",
            )
    if config.optimization.train_batch_size < 2 and config.task.mode != "eval":
        raise SettingError("train_batch_size", 1, "leaves no negative pairs", "give at least 2")


def _check_export(config: Config) -> None:
    exporting = config.task.mode == "export"
    form = config.export.format
    if exporting and not config.task.checkpoint:
        raise SettingError("mode", "export", "needs `checkpoint`, the weights to export")
    if exporting and config.task.allow_partial_checkpoint:
        raise SettingError(
            "allow_partial_checkpoint",
            None,
            "is for training",
            "remove it: `mode=export` writes networks that are restored as a whole",
        )
    if "format" in config.given and not exporting:
        raise SettingError("format", form, "does nothing without `mode=export`", "add it")
    if form != "saved_model" and config.export.export_precision != "float32":
        raise SettingError(
            "export_precision",
            config.export.export_precision,
            "is for SavedModels",
            f"remove it, or `format={form}`",
        )


def _check_devices(config: Config) -> None:
    hardware = config.hardware
    if hardware.use_tpu and hardware.strategy not in ("auto", "tpu"):
        raise UserError(
            f"`strategy={hardware.strategy}` contradicts `use_tpu`, which is `strategy=tpu`; "
            "remove one of the two"
        )
    if hardware.on_tpu and config.task.mode == "plan":
        raise SettingError("mode", "plan", "measures CPUs and GPUs, not TPUs", "train some steps")
    if hardware.tpu_name and not hardware.on_tpu:
        raise SettingError(
            "tpu_name", hardware.tpu_name, "does nothing without `use_tpu`", "add it"
        )
    if hardware.num_virtual_devices > 1 and (
        hardware.on_tpu or hardware.strategy in ("one_device", "multi_worker")
    ):
        strategy = "tpu" if hardware.on_tpu else hardware.strategy
        raise SettingError(
            "num_virtual_devices",
            hardware.num_virtual_devices,
            "splits this machine's CPU for `strategy=mirrored` and does nothing with "
            f"`strategy={strategy}`",
            "remove it",
        )
