"""Data sets of TFDS whose images have several labels each, such as voc/2007."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds

from simclr_tf.data.image_dataset import ImageDataset
from simclr_tf.data.quiet import quiet_tfds
from simclr_tf.data.tfds_dataset import TfdsDataset

_FEATURE = "labels"


def names_of_several(dataset: ImageDataset) -> list[str] | None:
    """Returns the names of the classes of which an image may have several, None without any."""
    if not isinstance(dataset, TfdsDataset):
        return None
    labels = dict(dataset.builder.info.features.items()).get(_FEATURE)
    inner = labels.feature if isinstance(labels, tfds.features.Sequence) else None
    return list(inner.names) if isinstance(inner, tfds.features.ClassLabel) else None


def several_labels(dataset: ImageDataset, split: str) -> np.ndarray:
    """Returns which classes each image of `split` has, bool [n, classes], in `read`'s order."""
    names = names_of_several(dataset)
    assert names is not None  # the caller has asked
    assert isinstance(dataset, TfdsDataset)
    with quiet_tfds():
        examples = dataset.builder.as_dataset(
            split=split, decoders=tfds.decode.PartialDecoding({_FEATURE: True})
        )
    found = [example[_FEATURE] for example in examples.as_numpy_iterator()]
    several = np.zeros([len(found), len(names)], bool)
    for row, labels in zip(several, found):
        row[labels] = True
    return several
