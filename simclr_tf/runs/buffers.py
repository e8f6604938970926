"""What an input pipeline comes to hold in memory: its shuffle buffer, and what it caches."""

from __future__ import annotations

from simclr_tf.config import Config
from simclr_tf.data import ImageDataset, reading
from simclr_tf.data.train_pipeline import caches_unasked, default_shuffle_buffer

_LOOKED_AT = 32  # examples
_BESIDE = 200  # bytes of an element that TensorFlow keeps beside its content


def bytes_held(config: Config, dataset: ImageDataset) -> tuple[float, float]:
    """Returns what one host that reads all of the training split comes to hold, in bytes.

    Args:
      config: the resolved configuration.
      dataset: what is learned from.

    Returns:
      When the first batch is made, and from the end of the first epoch on.
    """
    asked, batch = config.data, config.optimization.train_batch_size
    count = dataset.num_examples(asked.train_split)
    buffer = default_shuffle_buffer(dataset.image_shape, count, batch)
    examples = reading.read_examples(
        dataset, asked.train_split, shard=(1, 0), by_file=False, file_seed=None
    )
    cached = asked.cache_dataset or caches_unasked(dataset, asked.train_split, count)
    if cached:
        examples = dataset.load(asked.train_split, examples, replace_bad=True)
        if dataset.has_static_size:
            examples = reading.decode_examples(dataset, examples)
    sizes = [
        sum(_size(part) for part in example.values()) + _BESIDE
        for example in examples.take(_LOOKED_AT).as_numpy_iterator()
    ]
    size = sum(sizes) / len(sizes)
    # What is cached lies in the shuffle buffer without a copy.
    return buffer * size, (count if cached else buffer) * size


def _size(part: object) -> int:
    return len(part) if isinstance(part, bytes) else part.nbytes  # type: ignore[attr-defined]
