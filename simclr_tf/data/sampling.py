"""The images of a training step, to look at."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.data import sharding
from simclr_tf.data.image_dataset import Example, ImageDataset
from simclr_tf.data.train_pipeline import default_shuffle_buffer, train_input_fn


class _Untouched:
    """A transform that keeps images, and the seeds that training gives them."""

    def in_batches(self, height: int, width: int) -> bool:
        return True

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> Example:
        return {"image": images, "seed": seeds}

    def prepare_one(self, image: tf.Tensor, seed: tf.Tensor) -> Example:
        # Images of different sizes make no batch; as files they do.
        return {"file": tf.io.encode_png(image), "seed": seed}


def sample_images(
    dataset: ImageDataset,
    *,
    split: str,
    batch_size: int,
    seed: int,
    step: int = 1,
    cache: bool = False,
    hosts: int = 1,
    most: int | None = None,
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns the images that training takes in a step, and their seeds.

    Args:
      dataset: the data set.
      split: in TFDS's syntax.
      batch_size: images a step, over all hosts.
      seed: of the run.
      step: which step, from 1.
      cache: whether the run caches the data set, on which the order depends.
      hosts: that share a batch.
      most: of the first step, return this many images of each host alone; None for the whole step.

    Returns:
      Pairs of a uint8 tensor `[h, w, 3]` and an int32 tensor `[2]`, one host's behind another's.
    """
    own = batch_size // hosts
    if most is not None and step == 1:
        own = min(own, most)
    samples: list[tuple[tf.Tensor, tf.Tensor]] = []
    for host in range(hosts):
        shard = hosts, host
        by_file = sharding.can_shard_by_file(dataset, split, hosts)
        epoch_size = sharding.count_shard(dataset, split, shard, by_file)
        input_fn = train_input_fn(
            dataset,
            split=split,
            global_batch_size=own * hosts,
            transform=_Untouched(),
            cache=cache,
            seed=seed,
            start_step=step - 1,
            # That of the whole batch: it decides what comes first.
            shuffle_buffer=default_shuffle_buffer(dataset.image_shape, epoch_size, batch_size),
        )
        (batch,) = input_fn(tf.distribute.InputContext(hosts, host, hosts)).take(1)
        images = batch.get("image", ())
        if "file" in batch:
            images = [tf.io.decode_png(file, channels=3) for file in batch["file"]]
        samples += zip(images, batch["seed"])
    return samples
