"""The batches of a training run, and where their views are made."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf import data
from simclr_tf.augmentation import ViewPipeline
from simclr_tf.data.sharding import InputFn
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training.network import Network


def augments_on_device(run: PreparedRun) -> bool:
    """Says whether views are made in the training step."""
    place = run.config.augmentation.augment_on
    # Of a batch that is encoded in parts the step holds bytes, and of one part only floats.
    apart = run.device_type != "CPU" or run.config.optimization.in_parts
    return apart if place == "auto" else place == "device"


def view_pipeline(run: PreparedRun, model: Network) -> ViewPipeline:
    """Returns what makes the views of a network from `runs.networks`, or the host's part of it."""
    assert model.views is not None
    return ViewPipeline(model.views, on_device=augments_on_device(run))


def training_batches(
    run: PreparedRun,
    pipeline: ViewPipeline,
    *,
    start: int = 0,
    first: data.FirstBatch | None = None,
) -> Any:
    """Returns the distributed batches from step `start` on, which `fit` takes and `first` notes."""
    input_fn = _input_fn(run, pipeline, start)
    if first is not None:
        input_fn = first.watching(input_fn)
    return run.strategy.distribute_datasets_from_function(input_fn)


def noise_batches(run: PreparedRun, pipeline: ViewPipeline) -> Any:
    """Returns distributed batches of the same shapes, of one noise again and again: at no cost."""
    input_fn = _input_fn(run, pipeline, 0)

    def noise_fn(context: tf.distribute.InputContext) -> tf.data.Dataset:
        noise = tf.nest.map_structure(_noise, input_fn(context).element_spec)
        return tf.data.Dataset.from_tensors(noise).repeat()

    return run.strategy.distribute_datasets_from_function(noise_fn)


def _input_fn(run: PreparedRun, pipeline: ViewPipeline, start: int) -> InputFn:
    config = run.config
    return data.train_input_fn(
        run.dataset,
        split=config.data.train_split,
        global_batch_size=config.optimization.train_batch_size,
        transform=pipeline,
        cache=config.data.cache_dataset,
        seed=config.task.seed,
        start_step=start,
    )


def _noise(spec: tf.TensorSpec) -> tf.Tensor:
    """Returns floats in [0, 1], bytes from 0 to 255, and zeros for labels and seeds."""
    high = {tf.float32: 1.0, tf.uint8: 255.99}.get(spec.dtype, 0.5)
    return tf.cast(tf.random.stateless_uniform(spec.shape, (0, 0), maxval=high), spec.dtype)
