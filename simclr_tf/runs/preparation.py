"""What a run needs before it starts: devices, data, folder, plan. Nothing is written here."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from simclr_tf import compat, data, files, paths
from simclr_tf.checkpoints import Description, StoredWeights
from simclr_tf.config import Config, Data, Hardware
from simclr_tf.data.folder import PREFIX, root_of
from simclr_tf.data.folder_labels import find_file
from simclr_tf.distribution import Workers, choose_strategy, workers_of
from simclr_tf.errors import SettingError
from simclr_tf.models.precision import use_precision
from simclr_tf.optimizers import WarmUpCosine
from simclr_tf.runs import moved
from simclr_tf.runs.defaults import fit_to_data
from simclr_tf.runs.folder import (
    choose_model_dir,
    describe_network,
    holds_checkpoint,
    stored_config,
)
from simclr_tf.runs.identity import adopt_from_data
from simclr_tf.runs.labels import (
    check_few,
    choose_labels,
    choose_taught,
    labeled_only,
    name_classes,
    numbered_as_trained,
)
from simclr_tf.runs.pixels import choose_pixels, see_as_trained
from simclr_tf.runs.plan import Plan, make_plan


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A training run about to start: everything checked, nothing written.

    Attributes:
      config: as the run has it, with its model_dir, and what follows from its data.
      asked: as the command has it.
      strategy: of its devices.
      workers: the machines that share it.
      dataset: as it learns from it.
      eval_dataset: as it is evaluated on it when it ends, None where that is not asked for.
      plan: derived numbers.
      teacher: whose predictions are learned, None where there is none.
      chosen: what is to be said of the precision, where that was chosen here.
    """

    config: Config
    asked: Config
    strategy: tf.distribute.Strategy
    workers: Workers
    dataset: data.ImageDataset
    eval_dataset: data.ImageDataset | None
    plan: Plan
    teacher: StoredWeights | None = None
    chosen: str = ""

    def altered(self, **changes: Any) -> PreparedRun:
        """Returns the run with other values of the settings that are named, planned anew.

        Raises:
          SettingError: they cannot work with its data or devices.
        """
        config, plan = self.config.replace(**changes), self.plan
        numbers = {
            name: getattr(plan, name)
            for name in ("train_examples", "num_classes", "replicas", "workers")
        }
        return dataclasses.replace(self, config=config, plan=make_plan(config, **numbers))

    @property
    def schedule(self) -> WarmUpCosine:
        """The learning rate by step."""
        plan = self.plan
        return WarmUpCosine(plan.learning_rate, plan.warmup_steps, plan.train_steps)

    @property
    def device_type(self) -> str:
        """`CPU`, `GPU` or `TPU`."""
        device = self.strategy.extended.worker_devices[0]
        return tf.DeviceSpec.from_string(device).device_type


def prepare(
    config: Config, weights: StoredWeights | None, teacher: StoredWeights | None = None
) -> PreparedRun:
    """Checks devices, data and folder against the configuration, and derives the plan.

    Args:
      config: what was asked.
      weights: initial ones, whose pictures this run sees alike.
      teacher: with a classifier. Classes, and how pictures are seen, are then the teacher's.

    Raises:
      UserError: something asked for cannot be had; nothing has been written.
    """
    asked = config = choose_model_dir(config)
    strategy = open_devices(config.hardware, seed=config.task.seed)
    workers = workers_of(strategy)
    if workers.count > 1 and "model_dir" not in config.given:
        raise SettingError(
            "model_dir", None, f"is needed by {workers.count} workers", "give a folder all reach"
        )
    replicas = strategy.num_replicas_in_sync
    _check_compilation(config.hardware, replicas)
    num_classes, dataset, eval_dataset, notes = _open_data(config, weights, teacher)
    examples = dataset.num_examples(config.data.train_split)
    stored = stored_config(config.task.model_dir)
    if stored is None:
        config, more = fit_to_data(config, examples=examples, replicas=replicas)
        notes += more
    else:
        config = adopt_from_data(config, stored)
        use_precision(config.hardware.precision)
    plan = make_plan(
        config,
        train_examples=examples,
        num_classes=num_classes,
        replicas=replicas,
        workers=workers.count,
        continued=holds_checkpoint(config.task.model_dir),
    )
    if workers.is_chief:
        print(*notes, sep="\n", end="\n" if notes else "")
    return PreparedRun(config, asked, strategy, workers, dataset, eval_dataset, plan, teacher)


def open_devices(hardware: Hardware, *, seed: int, alone: bool = False) -> tf.distribute.Strategy:
    """Chooses devices, sets the random seed and the compute type.

    Args:
      hardware: what was asked.
      seed: of initial weights.
      alone: leave aside the other machines that TF_CONFIG lists.
    """
    strategy = choose_strategy(
        "tpu" if hardware.on_tpu else hardware.strategy,
        num_virtual_devices=hardware.num_virtual_devices,
        tpu_name=hardware.tpu_name,
        tpu_zone=hardware.tpu_zone,
        gcp_project=hardware.gcp_project,
        master=hardware.master,
        alone=alone,
    )
    compat.start_xla()
    compat.close_pipelines_at_once()
    tf.keras.utils.set_random_seed(seed)
    # Where it is not chosen yet, evaluation computes in what weights are.
    use_precision("float32" if hardware.precision == "auto" else hardware.precision)
    return strategy


def open_one_device(config: Config) -> None:
    """Opens one device of this machine, or its TPU, to measure what is not trained."""
    hardware = config.hardware
    if not hardware.on_tpu:  # nothing is trained that devices could share
        hardware = dataclasses.replace(hardware, strategy="one_device")
    open_devices(hardware, seed=config.task.seed, alone=True)


def open_dataset(config: Config, *, run: str = "") -> data.ImageDataset:
    """Opens `dataset`.

    Args:
      config: what was asked.
      run: the folder of a run that reads this data set: folders are read as when it began.

    Raises:
      UserError: it cannot be had.
    """
    asked = config.data
    return data.load(
        asked.dataset,
        data_dir=asked.data_dir,
        folder_labels=asked.folder_labels,
        on_bad_image=asked.on_bad_image,
        split_folders=moved.reads_split_folders(run) if run else None,
    )


def open_evaluated(
    config: Config, network: Description, setting: str, *, run: str = ""
) -> tuple[data.ImageDataset, list[str]]:
    """Opens the data set that `eval_split` is of: `eval_dataset`, or else `dataset`.

    Args:
      config: what was asked.
      network: that is evaluated; the data set's classes get its numbers.
      setting: that named it, between backticks, for errors.
      run: see `open_dataset`.

    Returns:
      The data set, without images that have no label, and what is to be said of it, a line each.

    Raises:
      UserError: it cannot be had, has no labels, or classes that the network does not know.
    """
    asked, split = config.data, config.data.eval_split
    other = asked.eval_dataset
    try:
        if other is not None:
            labels = _labels_beside(other, asked)
            config, run = config.replace(dataset=other, folder_labels=labels), ""
        dataset = open_dataset(config, run=run)
        dataset.check_split(split, field="eval_split")
        dataset, notes = labeled_only(dataset, {"eval_split": split})
        dataset, more = numbered_as_trained(dataset, network, setting)
        dataset, told = see_as_trained(config, dataset, split, network.pixel_rule)
    except SettingError as error:
        if other is None or error.field != "dataset":
            raise
        raise SettingError("eval_dataset", other, error.reason, error.remedy) from None
    return dataset, [*dataset.remarks, *told, *notes, *more, name_classes(dataset, split)]


def learned_from(config: Config, dataset: data.ImageDataset) -> data.ImageDataset:
    """Returns what a run learns from.

    Fine-tuning leaves labeled images of a data set, or a few of these; distillation all images,
    with few labels or all that there are.
    """
    asked = config.data
    if config.task.pretraining or dataset.class_names is None:
        return dataset
    few = asked.train_split, asked.labels_per_class
    if config.task.distilling:
        if not asked.labels_per_class:
            return dataset
        return dataset.few_of_its_labels(*few, seed=config.task.seed)
    dataset = dataset.labeled()
    return dataset.few_labels(*few, seed=config.task.seed) if asked.labels_per_class else dataset


def _open_data(
    config: Config, weights: StoredWeights | None, teacher: StoredWeights | None
) -> tuple[int | None, data.ImageDataset, data.ImageDataset | None, list[str]]:
    """Returns a run's number of classes, what it learns from, what it is evaluated on, and notes.

    Raises:
      UserError: see `prepare`.
    """
    asked, measured = config.data, config.task.mode == "train_then_eval"
    opened = open_dataset(config, run=config.task.model_dir)
    opened.check_split(asked.train_split, field="train_split")
    if measured and asked.eval_dataset is None:
        opened.check_split(asked.eval_split, field="eval_split")
    if teacher is not None:
        return _open_taught(config, opened, teacher.description)
    seen, told = choose_pixels(config, opened, weights)
    num_classes, (labeled, notes) = choose_labels(config, seen)
    dataset = learned_from(config, labeled)
    notes = [*opened.remarks, *told, *notes]
    if num_classes is not None:
        notes += [*check_few(config, dataset), name_classes(dataset, asked.train_split)]
    if not measured:
        return num_classes, dataset, None, notes
    if asked.eval_dataset is None:
        notes.append(name_classes(labeled, asked.eval_split))
        return num_classes, dataset, labeled.labeled(), notes
    network = describe_network(config, num_classes, labeled)
    evaluated, more = open_evaluated(config, network, f"`dataset={asked.dataset}`")
    return num_classes, dataset, evaluated, notes + more


def _open_taught(
    config: Config, opened: data.ImageDataset, teacher: Description
) -> tuple[int | None, data.ImageDataset, data.ImageDataset | None, list[str]]:
    """Returns what `_open_data` does, for a student of `teacher`."""
    asked, named = config.data, f"`teacher={config.distillation.teacher}`"
    seen, told = see_as_trained(config, opened, asked.train_split, teacher.pixel_rule)
    taught, notes = choose_taught(config, seen, teacher)
    dataset = learned_from(config, taught)
    notes = [*opened.remarks, *told, *notes]
    if config.distillation.reads_labels:
        notes.append(name_classes(dataset, asked.train_split))
    evaluated = None
    if config.task.mode == "train_then_eval":
        student = describe_network(config, teacher.num_classes, taught)
        if asked.eval_dataset is None:
            evaluated, more = labeled_only(seen, {"eval_split": asked.eval_split})
            evaluated, numbered = numbered_as_trained(evaluated, student, named)
            notes += [*more, *numbered, name_classes(evaluated, asked.eval_split)]
        else:
            evaluated, more = open_evaluated(config, student, named)
            notes += more
    return teacher.num_classes, dataset, evaluated, list(dict.fromkeys(notes))


def _labels_beside(pictures: str, asked: Data) -> str:
    """Returns `folder_labels` of `eval_dataset`.

    Where a CSV file lies beside the pictures of `dataset`, others may have one of that name, too.
    """
    if not (pictures.startswith(PREFIX) and asked.dataset.startswith(PREFIX)):
        return asked.folder_labels
    root = root_of(asked.dataset)
    path = find_file(asked.folder_labels, root)
    beside = files.join(root_of(pictures), paths.last_name(path))
    if paths.same_place(files.parent(path), root) and tf.io.gfile.exists(beside):
        return beside
    return asked.folder_labels


def _check_compilation(hardware: Hardware, replicas: int) -> None:
    if hardware.jit_compile and replicas > 1 and not tf.config.list_logical_devices("GPU"):
        raise SettingError(
            "jit_compile",
            None,
            f"cannot compile what {replicas} CPUs exchange",
            "remove it, or give `strategy=one_device`",
        )
