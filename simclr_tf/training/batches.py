"""What fit, evaluate and predict may be given, brought to one form."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf import data
from simclr_tf.distribution import replica_offset

Batch = dict[str, tf.Tensor]

_STEP = 2**32  # more than a batch has images
_FORMS = (
    "give [batch, height, width, 3] images, (images, labels), or a dictionary of `image` and, if "
    "there are labels, `label`"
)


def as_dictionary(batch: Any) -> Batch:
    """Names the parts of a batch.

    Args:
      batch: images [batch, height, width, 3]; (images,) or (images, labels); or a dictionary: this
        package's own pipelines make `views`, or `crops` and `seeds`, or `images` and `seeds`, and
        tensorflow-datasets makes `image`. Labels, `label` there, are integers [batch].

    Returns:
      The dictionary, with `images` for `image`, and int64 labels [batch].

    Raises:
      TypeError, ValueError: it is something else.
    """
    if isinstance(batch, (tuple, list)):
        if len(batch) > 2:
            raise ValueError(f"a batch is a tuple of {len(batch)}; {_FORMS}")
        batch = dict(zip(("images", "label"), batch))
    elif tf.is_tensor(batch):
        batch = {"images": batch}
    elif not isinstance(batch, dict):
        raise TypeError(f"a batch is a {type(batch).__name__}; {_FORMS}")
    batch = {"images" if name == "image" else name: part for name, part in batch.items()}
    if not batch.keys() & {"views", "crops", "images"}:
        raise ValueError(f"a batch holds {', '.join(batch) or 'nothing'}, but no images; {_FORMS}")
    if "images" in batch:
        _check_images(batch["images"])
    if "label" in batch:
        batch["label"] = _label_numbers(batch["label"])
    return batch


def seeds_of_step(seed: int, step: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Returns a seed for each image of a step's batch, whose pipeline gave it none.

    No two images of a run share one: it is that of position `step * 2**32 + row`, where the row is
    the image's in the global batch, whatever the number of replicas.

    Args:
      seed: of the model.
      step: scalar, steps taken before.
      size: images of this replica.

    Returns:
      int32 [size, 2].
    """
    rows = tf.cast(replica_offset(size) + tf.range(size), tf.int64)
    return data.position_seeds(seed, tf.cast(step, tf.int64) * _STEP + rows)


def _check_images(images: tf.Tensor) -> None:
    shape = images.shape
    if not shape.is_compatible_with([None, None, None, 3]):
        remedy = "make it RGB (tf.image.grayscale_to_rgb)"
        if shape.rank == 3:
            remedy = "batch the dataset: dataset.batch(256, drop_remainder=True)"
        raise ValueError(f"images are {shape}, not [batch, height, width, 3]; {remedy}")


def _label_numbers(labels: tf.Tensor) -> tf.Tensor:
    """Returns int64 [batch]."""
    if labels.shape.rank == 2 and labels.shape[-1] == 1:
        labels = tf.squeeze(labels, -1)
    if labels.shape.rank not in (1, None) or not labels.dtype.is_integer:
        raise ValueError(
            f"labels are {labels.dtype.name} {labels.shape}, not integers [batch]; give the "
            "number of each image's class"
        )
    return tf.cast(labels, tf.int64)
