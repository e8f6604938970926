"""What pre-training and fine-tuning share: fit, export, evaluate."""

from __future__ import annotations

import math

import tensorflow as tf

from simclr_tf import data
from simclr_tf.augmentation import Augmentation, Views
from simclr_tf.checkpoints import Source, TrainingState, restore_parts
from simclr_tf.models.network import Network
from simclr_tf.plan import describe
from simclr_tf.serving import export
from simclr_tf.workflows.callbacks import Journal, ProgressBar
from simclr_tf.workflows.evaluate import evaluate
from simclr_tf.workflows.run_folder import describe_run, note_files
from simclr_tf.workflows.session import Session, build_compiled, schedule_of


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
        schedule=schedule_of(plan),
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
