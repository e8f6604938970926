"""What a run needs before it starts: devices, data, folder, plan. Nothing is written here."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from simclr_tf import compat, data
from simclr_tf.config import Config, Data, Hardware
from simclr_tf.distribution import Workers, choose_strategy, workers_of
from simclr_tf.errors import SettingError
from simclr_tf.optimizers import WarmUpCosine
from simclr_tf.runs.defaults import fit_to_data
from simclr_tf.runs.folder import choose_model_dir, holds_checkpoint, stored_config
from simclr_tf.runs.identity import adopt_from_data
from simclr_tf.runs.labels import choose_labels
from simclr_tf.runs.plan import Plan, make_plan


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A training run about to start: everything checked, nothing written.

    Attributes:
      config: as the run has it, what follows from its data included.
      asked: as the command has it.
      strategy, workers, dataset, plan: what it runs on.
    """

    config: Config
    asked: Config
    strategy: tf.distribute.Strategy
    workers: Workers
    dataset: data.ImageDataset
    plan: Plan

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


def prepare(config: Config) -> PreparedRun:
    """Checks devices, data and folder against the configuration, and derives the plan.

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
    dataset = open_dataset(config.data)
    dataset.check_split(config.data.train_split, field="train_split")
    if config.task.mode == "train_then_eval":
        dataset.check_split(config.data.eval_split, field="eval_split")
    num_classes, (dataset, notes) = choose_labels(config, dataset)
    examples = dataset.num_examples(config.data.train_split)
    stored = stored_config(config.task.model_dir)
    if stored is None:
        config, more = fit_to_data(config, examples=examples, replicas=replicas)
        notes += more
    else:
        config = adopt_from_data(config, stored)
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
    return PreparedRun(config, asked, strategy, workers, dataset, plan)


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
    tf.keras.utils.set_random_seed(seed)
    precision = hardware.precision
    policy = precision if precision == "float32" else f"mixed_{precision}"
    tf.keras.mixed_precision.set_global_policy(policy)
    return strategy


def open_dataset(asked: Data) -> data.ImageDataset:
    """Opens the data set that `asked` names. Raises UserError if it cannot be had."""
    return data.load(
        asked.dataset,
        data_dir=asked.data_dir,
        folder_labels=asked.folder_labels,
        on_bad_image=asked.on_bad_image,
    )


def _check_compilation(hardware: Hardware, replicas: int) -> None:
    if hardware.jit_compile and replicas > 1 and not tf.config.list_logical_devices("GPU"):
        raise SettingError(
            "jit_compile",
            None,
            f"cannot compile what {replicas} CPUs exchange",
            "remove it, or give `strategy=one_device`",
        )
