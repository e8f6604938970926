"""What pre-training and fine-tuning share: open a session, fit, export, evaluate."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from simclr_tf import data, stack
from simclr_tf.augmentation import Augmentation, Views
from simclr_tf.checkpoints import Source, TrainingState, restore_parts
from simclr_tf.config import Config
from simclr_tf.distribution import choose_strategy
from simclr_tf.models.factory import build_trainable
from simclr_tf.models.network import Network
from simclr_tf.optimizers import WarmUpCosine, build_optimizer
from simclr_tf.plan import Plan, describe, make_plan
from simclr_tf.serving import export
from simclr_tf.workflows.callbacks import Journal, ProgressBar
from simclr_tf.workflows.evaluate import evaluate
from simclr_tf.workflows.run_folder import choose_model_dir, describe_run, note_files


@dataclasses.dataclass(frozen=True)
class Session:
    """A run about to start: everything checked, nothing written."""

    config: Config
    strategy: tf.distribute.Strategy
    dataset: data.ImageDataset
    plan: Plan


def open_session(config: Config) -> Session:
    """Checks devices, data and folder against the configuration, and derives the plan.

    Raises:
      UserError: something asked for cannot be had; nothing has been written.
    """
    config = choose_model_dir(config)
    strategy = open_strategy(config)
    dataset = open_dataset(config)
    dataset.check_split(config.train_split, flag="--train_split")
    if config.mode == "train_then_eval":
        dataset.check_split(config.eval_split, flag="--eval_split")
    _check_labels(config, dataset)
    plan = make_plan(
        config,
        train_examples=dataset.num_examples(config.train_split),
        num_classes=dataset.num_classes,
        replicas=strategy.num_replicas_in_sync,
    )
    return Session(config, strategy, dataset, plan)


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
    strategy = choose_strategy(
        use_tpu=config.use_tpu,
        tpu_name=config.tpu_name,
        tpu_zone=config.tpu_zone,
        gcp_project=config.gcp_project,
        master=config.master,
    )
    stack.start_xla()
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
            learning_rate=_schedule(plan),
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            exclude=model.undecayed,
        )
        if hasattr(optimizer, "build"):  # tensorflow-addons' build themselves at the first step
            optimizer.build(model.trainable_variables)
        model.compile(optimizer=optimizer)
    return model


def _schedule(plan: Plan) -> WarmUpCosine:
    return WarmUpCosine(plan.learning_rate, plan.warmup_steps, plan.train_steps)


def train(session: Session, *, views: Views, source: Source | None) -> None:
    """Trains to the planned step from wherever the run stands, exports, and evaluates if asked.

    Args:
      session: from `open_session`.
      views: makes the network's input from images.
      source: initial weights for a run that has no checkpoint of its own yet.

    Raises:
      UserError: weights do not fit, or the loss is no longer a number.
    """
    config, plan = session.config, session.plan
    model = build_compiled(session)
    augmentation = Augmentation(views, on_device=_augments_on_device(session))
    model.finish_views = augmentation.finish
    state = TrainingState(model, config.model_dir, config.keep_checkpoint_max)
    restored = state.restore()
    start = restored or 0
    if restored is not None:
        origin = f"continues from step {start:,}"
    elif source is not None:
        parts = {name: model.parts[name] for name in ("encoder", "projection_head")}
        origin = restore_parts(parts, source)
    else:
        origin = "new"
    with session.dataset.report_bad_images(config.model_dir):
        if start >= plan.train_steps:
            print(f"{config.model_dir} is finished: {start:,} of {plan.train_steps:,} steps")
        else:
            print(
                describe(
                    config,
                    plan,
                    model_dir=config.model_dir,
                    parameters=_count_parameters(model),
                    strategy=_name(session.strategy),
                )
            )
            print(f"  {'weights':<11}{origin}", flush=True)
            describe_run(config, plan.num_classes if model.supervised_head else None)
            note_files(config, session.dataset)
            _fit(session, model, state, start, augmentation)
        exported = export.export_saved_model(
            model, config, class_names=session.dataset.class_names, step=plan.train_steps
        )
        print(f"SavedModel: {exported}")
        if config.mode == "train_then_eval":
            evaluate(model, config, session.strategy, session.dataset, step=plan.train_steps)


def _fit(
    session: Session,
    model: Network,
    state: TrainingState,
    start: int,
    augmentation: Augmentation,
) -> None:
    config, plan = session.config, session.plan
    input_fn = data.train_input_fn(
        session.dataset,
        split=config.train_split,
        global_batch_size=config.train_batch_size,
        transform=augmentation,
        cache=config.cache_dataset,
        seed=config.seed,
        start_step=start,
    )
    journal = Journal(
        model,
        state,
        log_dir=f"{config.model_dir}/train",
        start=start,
        total=plan.train_steps,
        checkpoint_steps=plan.checkpoint_steps,
        summary_steps=plan.summary_steps,
        schedule=_schedule(plan),
        images=_sample_views(session, augmentation.views),
    )
    bar = ProgressBar(
        start=start,
        total=plan.train_steps,
        views=config.train_batch_size * (2 if config.pretraining else 1),
    )
    try:
        model.fit(
            session.strategy.distribute_datasets_from_function(input_fn),
            steps_per_epoch=plan.train_steps - start,
            verbose=0,
            callbacks=[bar, journal],
        )
    finally:
        bar.close()


def _sample_views(session: Session, views: Views, count: int = 8) -> tf.Tensor:
    """Returns the views of a few training images, [count, ...], to be looked at."""
    config = session.config
    split, seed = config.train_split, config.seed
    images = data.sample_images(session.dataset, split=split, count=count, seed=seed)
    return tf.stack([views.of_one(tf.constant(image), key) for image, key in images])


def _augments_on_device(session: Session) -> bool:
    if session.config.augment_on == "auto":
        return _device_type(session.strategy) != "CPU"
    return session.config.augment_on == "device"


def _count_parameters(model: Network) -> dict[str, int]:
    counts = {}
    for name, part in model.parts.items():
        trained = sum(math.prod(v.shape) for v in part.trainable_weights)
        label = name.replace("_", " ")
        total = sum(math.prod(w.shape) for w in part.weights)
        counts[label if trained else f"{label} (frozen)"] = trained or total
    return counts


def _name(strategy: tf.distribute.Strategy) -> str:
    kind = type(strategy).__name__.removesuffix("V1").removesuffix("Strategy")
    return f"{kind} on {_device_type(strategy)}"


def _device_type(strategy: tf.distribute.Strategy) -> str:
    device = strategy.extended.worker_devices[0]
    return tf.DeviceSpec.from_string(device).device_type
