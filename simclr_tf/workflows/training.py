"""What pre-training and fine-tuning share: fit, export, evaluate."""

from __future__ import annotations

import math

import tensorflow as tf

from simclr_tf import data
from simclr_tf.augmentation import ViewPipeline, Views
from simclr_tf.checkpoints import StoredWeights, TrainingState, read_parts, restore_parts
from simclr_tf.distribution import noticing_lost_workers, sum_over_workers
from simclr_tf.errors import UserError
from simclr_tf.training.network import Network
from simclr_tf.plan import describe
from simclr_tf.serving import export
from simclr_tf.training.callbacks import Journal, ProgressBar
from simclr_tf.workflows.evaluate import evaluate
from simclr_tf.training.preemption import Preemption
from simclr_tf.workflows.run_folder import describe_run, note_files
from simclr_tf.workflows.session import Session, build_compiled, schedule_of


def train(session: Session, *, views: Views, source: StoredWeights | None) -> None:
    """Trains to the planned step from wherever the run stands, exports, and evaluates if asked.

    Args:
      session: from `open_session`.
      views: makes the network's input from images.
      source: initial weights for a run that has no checkpoint of its own yet.

    Raises:
      UserError: weights do not fit, or the loss is no longer a number.
    """
    with noticing_lost_workers(session.workers):
        _train(session, views, source)


def _train(session: Session, views: Views, source: StoredWeights | None) -> None:
    config, plan, workers = session.config, session.plan, session.workers
    model = build_compiled(session)
    augmentation = ViewPipeline(views, on_device=_augments_on_device(session))
    model.finish_views = augmentation.finish
    own_folder = workers.own_folder(config.model_dir)
    scratch = None if workers.is_chief else f"{own_folder}.tmp"
    state = TrainingState(model, config.model_dir, config.keep_checkpoint_max, scratch)
    restored = state.restore()
    start = restored or 0
    _check_same_start(session, start)
    if restored is not None:
        origin = f"continues from step {start:,}"
    elif source is not None:
        parts = {name: model.parts[name] for name in ("encoder", "projection_head")}
        origin = restore_parts(parts, source, allow_partial=config.allow_partial_checkpoint)
    else:
        origin = "new"
    with session.dataset.report_bad_images(own_folder):
        if start >= plan.train_steps:
            if workers.is_chief:
                print(f"{config.model_dir} is finished: {start:,} of {plan.train_steps:,} steps")
        else:
            if workers.is_chief:
                _announce(session, model, origin)
            _fit(session, model, state, start, augmentation)
        _export(session, model)
        if config.mode == "train_then_eval":
            evaluate(model, session, step=plan.train_steps)


def _check_same_start(session: Session, start: int) -> None:
    """Raises UserError where the machines of a run do not see the same checkpoint."""
    count = session.workers.count
    together = sum_over_workers(start, session.strategy, session.workers)
    if together != start * count:
        raise UserError(
            f"--model_dir={session.config.model_dir} holds other checkpoints on other workers "
            f"(step {start} here, {together / count:g} on average); give a folder that all reach"
        )


def _announce(session: Session, model: Network, origin: str) -> None:
    """Prints what will happen, and writes what the run is."""
    config, plan = session.config, session.plan
    print(
        describe(
            config,
            plan,
            model_dir=config.model_dir,
            parameters=_count_parameters(model),
            strategy=_name(session),
        )
    )
    print(f"  {'weights':<11}" + origin.replace("\n", f"\n{'':<13}"), flush=True)
    describe_run(config, plan.num_classes if model.supervised_head else None)
    note_files(config, session.dataset)


def _export(session: Session, model: Network) -> None:
    if not session.workers.is_chief:
        read_parts(model.parts)
        return
    exported = export.export_saved_model(
        model,
        session.config,
        class_names=session.dataset.class_names,
        step=session.plan.train_steps,
    )
    print(f"SavedModel: {exported}")


def _fit(
    session: Session,
    model: Network,
    state: TrainingState,
    start: int,
    augmentation: Augmentation,
) -> None:
    config, plan, workers = session.config, session.plan, session.workers
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
        log_dir=f"{config.model_dir}/train" if workers.is_chief else None,
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
        shown=workers.is_chief,
    )
    preemption = Preemption(session.strategy, workers, state, start=start)
    try:
        model.fit(
            session.strategy.distribute_datasets_from_function(input_fn),
            steps_per_epoch=plan.train_steps - start,
            verbose=0,
            callbacks=[bar, journal, preemption],
        )
    finally:
        bar.close()
        preemption.close()


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


def _name(session: Session) -> str:
    device = _device_type(session.strategy)
    if session.workers.count > 1:
        return f"MultiWorkerMirrored on {device}, {session.workers.count} workers"
    kind = type(session.strategy).__name__
    kind = kind.removesuffix("V1").removesuffix("V2").removesuffix("Strategy")
    return f"{kind} on {device}"


def _device_type(strategy: tf.distribute.Strategy) -> str:
    device = strategy.extended.worker_devices[0]
    return tf.DeviceSpec.from_string(device).device_type
