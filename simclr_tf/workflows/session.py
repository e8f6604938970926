"""What a run needs before it starts: devices, data, plan, network."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from simclr_tf import data, compat
from simclr_tf.config import Config
from simclr_tf.distribution import Workers, choose_strategy, workers_of
from simclr_tf.errors import UserError
from simclr_tf.training.build import build_trainable
from simclr_tf.training.network import Network
from simclr_tf.optimizers import WarmUpCosine, build_optimizer
from simclr_tf.plan import Plan, make_plan
from simclr_tf.workflows.run_folder import choose_model_dir


@dataclasses.dataclass(frozen=True)
class Session:
    """A run about to start: everything checked, nothing written."""

    config: Config
    strategy: tf.distribute.Strategy
    workers: Workers
    dataset: data.ImageDataset
    plan: Plan


def open_session(config: Config) -> Session:
    """Checks devices, data and folder against the configuration, and derives the plan.

    Raises:
      UserError: something asked for cannot be had; nothing has been written.
    """
    config = choose_model_dir(config)
    strategy = open_strategy(config)
    workers = workers_of(strategy)
    if workers.count > 1 and "model_dir" not in config.explicit:
        raise UserError(
            f"{workers.count} workers need --model_dir, a folder that all of them reach"
        )
    replicas = strategy.num_replicas_in_sync
    if config.jit_compile and replicas > 1 and not tf.config.list_logical_devices("GPU"):
        raise UserError(
            f"--jit_compile cannot compile what {replicas} CPUs exchange; remove it, or give "
            "--strategy=one_device"
        )
    dataset = open_dataset(config)
    dataset.check_split(config.train_split, flag="--train_split")
    if config.mode == "train_then_eval":
        dataset.check_split(config.eval_split, flag="--eval_split")
    _check_labels(config, dataset)
    plan = make_plan(
        config,
        train_examples=dataset.num_examples(config.train_split),
        num_classes=dataset.num_classes,
        replicas=replicas,
    )
    return Session(config, strategy, workers, dataset, plan)


def open_dataset(config: Config) -> data.ImageDataset:
    """Opens the data set that `config` names. Raises UserError if it cannot be had."""
    return data.load(
        config.dataset,
        data_dir=config.data_dir,
        folder_labels=config.folder_labels,
        on_bad_image=config.on_bad_image,
    )


def _check_labels(config: Config, dataset: data.ImageDataset) -> None:
    """Raises UserError unless what learns from labels, or is measured by them, has them."""
    if config.pretraining:
        if not config.lineareval_while_pretraining:
            return
        # Images without labels are what pre-training is for: the probe is there if labels are.
        asked = (
            "lineareval_while_pretraining" in config.explicit or config.mode == "train_then_eval"
        )
        if dataset.num_classes is None and not asked:
            return
    dataset.check_labels(config.train_split)
    if config.mode == "train_then_eval":
        dataset.check_labels(config.eval_split)


def open_strategy(config: Config) -> tf.distribute.Strategy:
    """Chooses devices, sets the random seed and the compute type."""
    name = "tpu" if config.on_tpu else config.strategy
    if config.mode == "probe" and not config.on_tpu:
        name = "one_device"  # nothing is trained that devices could share
    strategy = choose_strategy(
        name,
        num_virtual_devices=config.num_virtual_devices,
        tpu_name=config.tpu_name,
        tpu_zone=config.tpu_zone,
        gcp_project=config.gcp_project,
        master=config.master,
    )
    compat.start_xla()
    tf.keras.utils.set_random_seed(config.seed)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[config.precision]
    tf.keras.mixed_precision.set_global_policy(policy)
    return strategy


def build_compiled(session: Session) -> Network:
    """Returns the network on the session's devices, with its optimizer."""
    config, plan = session.config, session.plan
    with session.strategy.scope():
        model = build_trainable(config, plan.num_classes)
        optimizer = build_optimizer(
            config.optimizer,
            learning_rate=schedule_of(plan),
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            exclude=model.undecayed,
        )
        if hasattr(optimizer, "build"):  # tensorflow-addons' build themselves at the first step
            optimizer.build(model.trainable_variables)
        model.compile(
            optimizer=optimizer,
            jit_compile=config.jit_compile,
            steps_per_execution=plan.steps_per_loop,
        )
    return model


def schedule_of(plan: Plan) -> WarmUpCosine:
    """Returns the learning rate by step."""
    return WarmUpCosine(plan.learning_rate, plan.warmup_steps, plan.train_steps)
