"""Reads one input pipeline's share of a split, as stored, and decodes it."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_datasets as tfds

from simclr_tf.data.datasets import ImageDataset
from simclr_tf.data.quiet import quiet_tfds

Example = dict[str, tf.Tensor]

# The label of an image that has none.
NO_LABEL = -1


def read_examples(
    dataset: ImageDataset,
    split: str,
    *,
    shard: tuple[int, int] = (1, 0),
    by_file: bool = False,
    file_seed: tf.Tensor | None = None,
) -> tf.data.Dataset:
    """Returns one pass over a shard of `split`, in a fixed order, with images still encoded.

    Encoded, because a shuffle buffer of JPEG bytes takes a fifth of the memory of one of pixels.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      shard: number of shards, and which of them.
      by_file: shard whole files, so that a host reads its own files only. Shards may differ in size
        by a file. Otherwise every host reads all files and keeps each n-th example.
      file_seed: int64 scalar; with it, files are read in an order drawn from this seed.

    Returns:
      Elements {"image": string scalar (PNG or JPEG), "label": int64 scalar}.
    """
    num_shards, index = shard
    context = tf.distribute.InputContext(num_shards, index) if by_file else None
    features = {"image": True}
    if dataset.num_classes is not None:
        features["label"] = True
    with quiet_tfds():
        examples = dataset.builder.as_dataset(
            split=split,
            shuffle_files=file_seed is not None,
            decoders=tfds.decode.PartialDecoding(
                features, decoders={"image": tfds.decode.SkipDecoding()}
            ),
            read_config=tfds.ReadConfig(
                try_autocache=False,  # The pipeline decides what is cached, and where.
                skip_prefetch=True,
                enable_ordering_guard=False,
                input_context=context,
                shuffle_seed=file_seed,
                shuffle_reshuffle_each_iteration=False,
            ),
        )
    if not by_file:
        examples = examples.shard(num_shards, index)
    return examples.map(_label_as_int64)


def decode_examples(dataset: ImageDataset, examples: tf.data.Dataset) -> tf.data.Dataset:
    """Decodes the images of `read_examples` to `dataset.image_shape`."""

    def decode(example: Example) -> Example:
        return {**example, "image": dataset.image_feature.decode_example(example["image"])}

    with quiet_tfds():  # The feature is called, and talks, while it is traced here.
        return examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Fixes the order of parallel steps and prepares batches ahead."""
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _label_as_int64(example: Example) -> Example:
    label = example.get("label", NO_LABEL)
    return {"image": example["image"], "label": tf.cast(label, tf.int64)}
