"""Who reads what: the share of hosts and replicas in a split and in a batch."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from simclr_tf.data.image_dataset import ImageDataset
from simclr_tf.errors import SettingError

_UNEQUAL = 1.01  # times the smallest share: the largest that is still taken for equal

InputFn = Callable[[tf.distribute.InputContext], tf.data.Dataset]


def local_replicas(context: tf.distribute.InputContext) -> int:
    """Returns the number of replicas that one input pipeline feeds."""
    return context.num_replicas_in_sync // context.num_input_pipelines


def per_replica_batch_size(
    context: tf.distribute.InputContext, global_batch_size: int, field: str
) -> int:
    """Divides a batch among replicas.

    Args:
      context: of the input pipeline.
      global_batch_size: images per step over all replicas.
      field: the setting to name in the error.

    Raises:
      SettingError: if the shares cannot be equal.
    """
    replicas = context.num_replicas_in_sync
    if global_batch_size % replicas:
        raise SettingError(
            field,
            global_batch_size,
            f"cannot be divided among {replicas} replicas",
            f"make it a multiple of {replicas}",
        )
    return global_batch_size // replicas


def can_shard_by_file(dataset: ImageDataset, split: str, num_shards: int) -> bool:
    """Whether whole files can be shared out, with shares of one size within a hundredth.

    Batches take as many images of each share: those of a smaller one are seen more often.
    """
    sizes = dataset.file_sizes(split)
    if not 1 < num_shards <= len(sizes):
        return False
    shares = [sum(sizes[index::num_shards]) for index in range(num_shards)]
    return max(shares) <= _UNEQUAL * min(shares)


def count_shard(dataset: ImageDataset, split: str, shard: tuple[int, int], by_file: bool) -> int:
    """Returns how many examples `read_examples` gives for a shard.

    Raises:
      SettingError: if there are none.
    """
    num_shards, index = shard
    total = dataset.num_examples(split)
    if by_file:
        count = sum(dataset.file_sizes(split)[index::num_shards])
    else:
        count = len(range(index, total, num_shards))
    if count <= 0:
        raise SettingError(
            "train_split",
            split,
            f"selects {total} examples of {dataset.name}, too few for {num_shards} hosts",
            "select more, or run on fewer hosts",
        )
    return count
