"""The endless, resumable input pipeline of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from simclr_tf.data import reading, seeds, sharding
from simclr_tf.data.image_dataset import Example, ImageDataset
from simclr_tf.data.preprocessing import to_rgb
from simclr_tf.data.quiet import quiet_tfds
from simclr_tf.data.sharding import InputFn
from simclr_tf.pixel_rule import PixelRule


class Transform(Protocol):
    """What happens to images on the host; simclr_tf.augmentation.ViewPipeline is one."""

    def in_batches(self, height: int, width: int) -> bool:
        """Says whether to call `prepare`, not `prepare_one`, where all images have this size."""

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> Example:
        """Takes uint8 `[b, h, w, 3]` and int32 `[b, 2]`; returns tensors `[b, ...]` by name."""

    def prepare_one(self, image: tf.Tensor, seed: tf.Tensor) -> Example:
        """Takes uint8 `[h, w, 3]` and int32 `[2]`; returns tensors `[...]` of fixed shapes."""


# Called with the seed of the files' order, an int64 scalar, which a cached pass ignores.
MakePass = Callable[[tf.Tensor], tf.data.Dataset]

# A data set of at most this many small images is shuffled as a whole ...
_SMALL_SIDE = 64
_SMALL_COUNT = 100_000
# ... and of any other, a window of at least this many.
_WINDOW = 10_000
_WINDOW_BATCHES = 10
# A shard of at most so many bytes of pixels is cached without being asked.
_CACHED = 2**28

_SEEDS_AT_ONCE = 1024  # at least


def train_input_fn(
    dataset: ImageDataset,
    *,
    split: str,
    global_batch_size: int,
    transform: Transform,
    cache: bool,
    seed: int,
    start_step: int = 0,
    shuffle_buffer: int | None = None,
) -> InputFn:
    """Returns the input function of endless, shuffled, transformed batches.

    What a batch holds depends on `seed`, `cache`, `shuffle_buffer`, the data and the number of
    hosts, not on threads or on the number of replicas: a run resumed at `start_step` sees the
    batches that an uninterrupted one would have seen. Every epoch has its own order, and flows into
    the next without a short batch. Resuming reads what the current epoch has used up, never whole
    epochs.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      global_batch_size: images per step over all replicas; divisible by the number of replicas.
      transform: its `prepare` is called where all images have one size and its `in_batches` says
        so, else its `prepare_one`. No two seeds of a run are equal.
      cache: keep the shard in memory: as pixels where images have one size, else encoded. Without
        it, this is done where `caches_unasked` says so, which changes no batch.
      seed: decides the order and the images' seeds.
      start_step: number of steps already taken.
      shuffle_buffer: examples in a host's shuffle buffer, encoded unless cached as pixels. None
        means the whole shard if it is at most 100,000 images of at most 64 pixels, else ten global
        batches, at least 10,000: about 1.1 GB a host for ImageNet's JPEGs of 110 kB, 4.5 GB at
        batch size 4,096.

    Returns:
      A function for `strategy.distribute_datasets_from_function`. Its dataset yields, per replica,
      what `transform` gives and "label", int64 `[b]`.

    Raises:
      SettingError: if the split cannot be read; from the function, if the batch cannot be divided.
    """
    dataset.check_split(split, field="train_split")

    def input_fn(context: tf.distribute.InputContext) -> tf.data.Dataset:
        shard = (context.num_input_pipelines, context.input_pipeline_id)
        batch_size = sharding.per_replica_batch_size(context, global_batch_size, "train_batch_size")
        by_file = sharding.can_shard_by_file(dataset, split, shard[0])
        epoch_size = sharding.count_shard(dataset, split, shard, by_file)
        buffer = shuffle_buffer or default_shuffle_buffer(
            dataset.image_shape, epoch_size, global_batch_size
        )
        start = start_step * batch_size * sharding.local_replicas(context)
        cached = cache or caches_unasked(dataset, split, epoch_size)
        pixels = cached and dataset.has_static_size
        make_pass = _pass_maker(dataset, split, shard, by_file, cached)
        stream = _shuffle_epochs(make_pass, epoch_size, min(buffer, epoch_size), seed, start)
        if not cached:
            stream = dataset.load(split, stream, replace_bad=True)
        if not pixels:
            stream = reading.decode_examples(dataset, stream)
        batches = _transform_batches(
            stream,
            transform,
            rule=dataset.pixel_rule,
            batch_size=batch_size,
            batch_first=_in_batches(dataset, transform),
            seed_batches=lambda size: _seed_batches(seed, shard, start, size),
        )
        return reading.finish(batches)

    return input_fn


def default_shuffle_buffer(
    image_shape: tuple[int | None, int | None, int], epoch_size: int, global_batch_size: int
) -> int:
    """Returns the number of examples in a host's shuffle buffer; see `train_input_fn`."""
    small = all(side is not None and side <= _SMALL_SIDE for side in image_shape[:2])
    if small and epoch_size <= _SMALL_COUNT:
        return epoch_size
    return min(epoch_size, max(_WINDOW, _WINDOW_BATCHES * global_batch_size))


def caches_unasked(dataset: ImageDataset, split: str, epoch_size: int) -> bool:
    """Says whether a shard of so many examples is kept in memory though nobody asked for it.

    That is so for images of one size of 256 MiB in all, unless they lie in several files: the order
    of these is drawn anew in each epoch, and a cached shard has only one.
    """
    height, width, channels = dataset.image_shape
    if height is None or width is None or len(dataset.file_sizes(split)) > 1:
        return False
    return epoch_size * height * width * channels <= _CACHED


def _in_batches(dataset: ImageDataset, transform: Transform) -> bool:
    height, width, _ = dataset.image_shape
    return height is not None and width is not None and transform.in_batches(height, width)


def _pass_maker(
    dataset: ImageDataset, split: str, shard: tuple[int, int], by_file: bool, cache: bool
) -> MakePass:
    """Returns what makes a pass over a host's examples: of pixels if cached and of one size."""

    def read(file_seed: tf.Tensor | None) -> tf.data.Dataset:
        return reading.read_examples(
            dataset, split, shard=shard, by_file=by_file, file_seed=file_seed
        )

    if not cache:
        return read
    examples = dataset.load(split, read(None), replace_bad=True)
    if dataset.has_static_size:
        examples = reading.decode_examples(dataset, examples)
    # Made once, outside the epochs, so that they all share it.
    cached = examples.cache()
    return lambda file_seed: cached


def _shuffle_epochs(
    make_pass: MakePass, epoch_size: int, buffer: int, seed: int, start: int
) -> tf.data.Dataset:
    """Returns the endless stream of shuffled epochs from position `start` on.

    Args:
      make_pass: makes a pass over the data.
      epoch_size: number of examples of a pass.
      buffer: size of the shuffle buffer.
      seed: the run's seed.
      start: number of examples to leave out at the beginning of the stream.
    """
    key = seeds.order_key(seed)

    @tf.autograph.experimental.do_not_convert  # AutoGraph warns of TFDS's decorators.
    def shuffle_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # tf.data mixes the graph's seed into every shuffle. Setting it on this function's own graph
        # brings in the run's seed and keeps tf.random.set_seed() out.
        tf.compat.v1.set_random_seed(key)
        examples = make_pass(2 * epoch)
        return examples.shuffle(buffer, seed=2 * epoch + 1, reshuffle_each_iteration=False)

    first_epoch, skipped = divmod(start, epoch_size)
    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    with quiet_tfds():
        stream = epochs.flat_map(shuffle_epoch)
    return stream.skip(skipped)


def _seed_batches(seed: int, shard: tuple[int, int], start: int, size: int) -> tf.data.Dataset:
    """Returns the seeds of a host's images from its position `start` on, int32 `[size, 2]` each."""
    num_shards, index = shard
    positions = tf.data.Dataset.range(start, tf.int64.max).batch(size, drop_remainder=True)
    # The generator's many small operations take 40 microseconds for one seed as for a thousand.
    groups = positions.batch(_SEEDS_AT_ONCE // size + 1, drop_remainder=True)
    groups = groups.map(lambda here: seeds.position_seeds(seed, here * num_shards + index))
    return groups.unbatch()


def _transform_batches(
    stream: tf.data.Dataset,
    transform: Transform,
    *,
    rule: PixelRule,
    batch_size: int,
    batch_first: bool,
    seed_batches: Callable[[int], tf.data.Dataset],
) -> tf.data.Dataset:
    """Batches and transforms decoded examples.

    Args:
      stream: the examples.
      transform: see `train_input_fn`.
      rule: how what is decoded becomes RGB of eight bits.
      batch_size: examples a batch.
      batch_first: whether the transform takes whole batches.
      seed_batches: returns the seeds of the same examples, in batches of a given size.
    """

    @tf.autograph.experimental.do_not_convert  # nothing to convert; tracing is much faster
    def transform_batch(batch: Example, image_seeds: tf.Tensor) -> Example:
        prepared = transform.prepare(to_rgb(batch["image"], rule), image_seeds)
        return {**prepared, "label": batch["label"]}

    @tf.autograph.experimental.do_not_convert
    def transform_one(example: Example, image_seed: tf.Tensor) -> Example:
        prepared = transform.prepare_one(to_rgb(example["image"], rule), image_seed)
        return {**prepared, "label": example["label"]}

    if batch_first:
        batches = stream.batch(batch_size, drop_remainder=True)
        batches = tf.data.Dataset.zip((batches, seed_batches(batch_size)))
        return batches.map(transform_batch, num_parallel_calls=reading.THREADS)
    examples = tf.data.Dataset.zip((stream, seed_batches(_SEEDS_AT_ONCE).unbatch()))
    views = examples.map(transform_one, num_parallel_calls=reading.THREADS)
    return views.batch(batch_size, drop_remainder=True)
