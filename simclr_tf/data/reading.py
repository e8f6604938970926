"""Reads one input pipeline's share of a split, and decodes its images."""

from __future__ import annotations

import os

import tensorflow as tf

from simclr_tf.data.image_dataset import Example, ImageDataset
from simclr_tf.data.quiet import quiet_tfds

# A thread waits whenever it hands an image to XLA: one for each core leaves a fifth idle.
THREADS = 2 * (os.cpu_count() or 1)
"""Of a pipeline, and so how many images or batches a parallel step of it works on at a time."""
_AHEAD = 2  # batches


def read_examples(
    dataset: ImageDataset,
    split: str,
    *,
    shard: tuple[int, int] = (1, 0),
    by_file: bool = False,
    file_seed: tf.Tensor | None = None,
) -> tf.data.Dataset:
    """Returns one pass over a shard of `split`, in a fixed order, with no image decoded.

    Encoded, because a shuffle buffer of JPEG bytes takes a fifth of the memory of one of pixels;
    single files are not even opened yet.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      shard: number of shards, and which of them.
      by_file: shard whole files, so that a host reads its own files only. Shards may differ in size
        by a file. Otherwise every host reads all files and keeps each n-th example.
      file_seed: int64 scalar; with it, files are read in an order drawn from this seed.

    Returns:
      What `dataset.load` takes.
    """
    return dataset.read(split, shard=shard, by_file=by_file, file_seed=file_seed)


def decode_examples(dataset: ImageDataset, examples: tf.data.Dataset) -> tf.data.Dataset:
    """Decodes the images of `dataset.load` to `dataset.image_shape`."""

    def decode(example: Example) -> Example:
        kept = {name: example[name] for name in ("label", "weight") if name in example}
        return {**kept, "image": dataset.decode(example)}

    with quiet_tfds():  # The feature is called, and talks, while it is traced here.
        return examples.map(decode, num_parallel_calls=THREADS)


def finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Fixes the order of parallel steps, keeps all cores busy and prepares batches ahead."""
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = THREADS
    # Autotuning makes nothing faster here, and buffers as large as memory allows. Nor does its
    # thread always notice that the pipeline is closed (TensorFlow 2.15 to 2.21): up to a minute of
    # waiting, idle, at the end of every third run.
    options.autotune.enabled = False
    return dataset.with_options(options).prefetch(_AHEAD)
