"""The finite input pipeline of evaluation: every example exactly once."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.data import reading, sharding
from simclr_tf.data.image_dataset import Example, ImageDataset
from simclr_tf.data.preprocessing import CROP_PROPORTION, preprocess_for_eval, to_rgb
from simclr_tf.data.sharding import InputFn


def eval_input_fn(
    dataset: ImageDataset,
    *,
    split: str,
    global_batch_size: int,
    image_size: int,
    max_steps: int | None = None,
    start_step: int = 0,
    crop_proportion: float = CROP_PROPORTION,
) -> InputFn:
    """Returns the input function that gives every example exactly once, in a fixed order.

    The last batches are filled up with rows of weight 0 (black, label 0), so that every replica of
    every host gets the same number of full batches: `eval_steps(...)` of them. An image that cannot
    be read is such a row, too.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      global_batch_size: images per step over all replicas; divisible by the number of replicas.
      image_size: see `preprocess_for_eval`.
      max_steps: stop after so many steps; None or a negative number means the whole split.
      start_step: batches that are left out at the beginning, without opening their images.
      crop_proportion: see `preprocess_for_eval`.

    Returns:
      A function for `strategy.distribute_datasets_from_function`. Its dataset yields, per replica,
      {"image": float32 `[b, image_size, image_size, 3]` in [0, 1], "label": int64 `[b]`,
      "weight": float32 `[b]`}.

    Raises:
      SettingError: if the split cannot be read; from the function, if the batch cannot be divided.
    """
    dataset.check_split(split, field="eval_split")
    total = dataset.num_examples(split)
    steps = eval_steps(total, global_batch_size, max_steps=max_steps)

    def preprocess(example: Example) -> Example:
        image = to_rgb(example["image"], dataset.pixel_rule)
        return {**example, "image": preprocess_for_eval(image, image_size, crop_proportion)}

    def input_fn(context: tf.distribute.InputContext) -> tf.data.Dataset:
        num_shards, index = context.num_input_pipelines, context.input_pipeline_id
        batch_size = sharding.per_replica_batch_size(context, global_batch_size, "eval_batch_size")
        capacity = steps * batch_size * sharding.local_replicas(context)
        # Sharded by example: shares differ by one at most, and a cut takes the same examples on any
        # number of hosts.
        count = min(capacity, len(range(index, total, num_shards)))
        begin = start_step * batch_size * sharding.local_replicas(context)
        examples = reading.read_examples(dataset, split, shard=(num_shards, index))
        examples = examples.take(count).skip(begin)
        examples = dataset.load(split, examples, replace_bad=False)
        if dataset.has_static_size:
            examples = reading.decode_examples(dataset, examples)
            batches = _pad(examples, capacity - count).batch(batch_size, drop_remainder=True)
            return reading.finish(batches.map(preprocess, num_parallel_calls=reading.THREADS))
        images = reading.decode_examples(dataset, examples).map(
            preprocess, num_parallel_calls=reading.THREADS
        )
        return reading.finish(_pad(images, capacity - count).batch(batch_size, drop_remainder=True))

    return input_fn


def eval_steps(num_examples: int, global_batch_size: int, *, max_steps: int | None = None) -> int:
    """Returns how many global batches hold all examples, or `max_steps` if that is fewer.

    None, zero and negative `max_steps` mean: no limit.
    """
    steps = -(-num_examples // global_batch_size)
    return min(steps, max_steps) if max_steps is not None and max_steps > 0 else steps


def _pad(examples: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """Gives the examples weight 1, unless they have one, and appends `count` rows of zeros."""
    weighted = examples.map(lambda example: {"weight": tf.constant(1.0), **example})
    zeros = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), weighted.element_spec
    )
    return weighted.concatenate(tf.data.Dataset.from_tensors(zeros).repeat(count))
