"""What fit, evaluate and predict may be given, brought to one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from simclr_tf import data
from simclr_tf.distribution import replica_offset

if TYPE_CHECKING:  # importing it brings keras-cv, which takes seconds
    from simclr_tf.augmentation import Views

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
        tensorflow-datasets makes `image`. Labels, `label` there, are integers [batch], -1 for none.

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


def size_of(batch: Batch) -> int | tf.Tensor:
    """Returns how many images a batch of this replica has, as an integer where that is static."""
    first = next(iter(batch.values()))
    return first.shape[0] or tf.shape(first)[0]


def labels_of(batch: Batch) -> tf.Tensor:
    """Returns the labels, int64 [batch], for a supervised head. Raises ValueError without."""
    return _labels_for("supervised_head", batch, "or leave the head out")


def classes_of(batch: Batch) -> tf.Tensor:
    """Returns the labels, int64 [batch], for a loss of classes. Raises ValueError without."""
    return _labels_for("contrastive_loss='supcon'", batch, "or take 'nt_xent'")


def with_seeds(views: Views | None, batch: Batch, *, step: tf.Tensor, seed: int) -> Batch:
    """Returns a batch whose views follow from each row alone, whatever rows are beside it.

    Args:
      views: make them; None where `batch` holds them.
      batch: from `as_dictionary`.
      step: steps taken before. With `seed`, it decides on the views of images without seeds.
      seed: see `step`.
    """
    if "images" not in batch or "seeds" in batch:
        return batch
    _check_range(batch["images"], _given(views).value_range)
    return {**batch, "seeds": seeds_of_step(seed, step, size_of(batch))}


def make_views(views: Views | None, batch: Batch) -> tf.Tensor:
    """Makes the views of a batch, or what is left to do of them.

    Args:
      views: makes them; None where `batch` holds them.
      batch: from `with_seeds`.

    Returns:
      float32 [batch, views, h, w, 3] in [0, 1], without the second axis where there is one view.
    """
    return batch["views"] if "views" in batch else _given(views).finish(batch)


def prepare(views: Views | None, images: tf.Tensor) -> tf.Tensor:
    """Makes of images what a network takes, without augmentation.

    Args:
      views: knows the size and the range of pixels.
      images: [batch, height, width, 3] in the views' `value_range`.

    Returns:
      float32 [batch, image_size, image_size, 3] in [0, 1]; see `data.preprocess_for_eval`.
    """
    views = _given(views)
    _check_range(images, views.value_range)
    low, high = views.value_range
    images = tf.clip_by_value((tf.cast(images, tf.float32) - low) / (high - low), 0.0, 1.0)
    return data.preprocess_for_eval(images, views.image_size)


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


def _labels_for(what: str, batch: Batch, otherwise: str) -> tf.Tensor:
    if "label" not in batch:
        raise ValueError(
            f"{what} needs labels, and the batch has none; give a dataset of (images, labels), "
            + otherwise
        )
    return batch["label"]


def _given(views: Views | None) -> Views:
    if views is None:
        raise ValueError(
            "views=None, but the batch holds images; construct the network with "
            "views=SimCLRViews(image_size), or SupervisedView(image_size) for a classifier"
        )
    return views


def _check_range(images: tf.Tensor, value_range: tuple[float, float]) -> None:
    """Refuses pixels in [0, 1] where 0 to 255 was said, and bytes where 0 to 1 was.

    Views of either are nearly of one color, and nothing else would tell.

    Raises:
      ValueError: the type shows it; tf.errors.InvalidArgumentError: the pixels do, in a step.
    """
    high = value_range[1]
    remedy = "construct the views with the images' own value_range"
    if images.dtype.is_integer and high <= 1:
        raise ValueError(f"value_range={value_range}, but images are {images.dtype.name}; {remedy}")
    if images.dtype.is_floating and high > 1:
        tf.debugging.Assert(
            tf.reduce_any(images > 1) | (tf.size(images) == 0),
            [f"value_range={value_range}, but no pixel is above 1; {remedy}"],
        )


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
