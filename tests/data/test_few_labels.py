"""A few labeled images of a data set that TFDS has prepared, kept in memory."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import data
from simclr_tf.data import reading

SPLIT = "train[:300]"


class Keep:
    """A transform that keeps the images."""

    def in_batches(self, height: int, width: int) -> bool:
        return True

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": images}


def stream(dataset: data.ImageDataset, steps: int, context=None, **more) -> list[tuple[bytes, int]]:
    """Returns pixels and label of each image of a host's stream."""
    options = {"split": SPLIT, "global_batch_size": 4, "seed": 1, "cache": False, **more}
    input_fn = data.train_input_fn(dataset, transform=Keep(), **options)
    batches = input_fn(context or tf.distribute.InputContext(1, 0, 1)).take(steps)
    return [
        (image.tobytes(), int(label))
        for batch in batches.as_numpy_iterator()
        for image, label in zip(batch["image"], batch["label"])
    ]


@pytest.fixture(scope="module")
def digits() -> data.ImageDataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def few(digits: data.ImageDataset) -> data.ImageDataset:
    return digits.few_labels(SPLIT, 4, seed=2)


def test_so_many_of_each_class_and_the_same_each_time(digits, few) -> None:
    assert few.num_examples(SPLIT) == 40
    (sample,) = few.sample_labels(SPLIT)
    assert sample.whole
    np.testing.assert_array_equal(np.bincount(sample.labels), [4] * 10)
    everything = {
        (digits.decode(e).numpy().repeat(3, axis=-1).tobytes(), int(e["label"]))
        for e in reading.read_examples(digits, SPLIT)
    }
    epoch = stream(few, 10)
    assert len(set(epoch)) == 40
    assert set(epoch) <= everything
    assert set(stream(digits.few_labels(SPLIT, 4, seed=2), 10)) == set(epoch)
    assert set(stream(digits.few_labels(SPLIT, 4, seed=3), 10)) != set(epoch)
    assert stream(few, 20)[40:] != epoch


def test_they_resume_are_cached_and_shared_by_hosts(few) -> None:
    whole = stream(few, 14)
    assert stream(few, 3, start_step=11) == whole[44:]
    assert set(stream(few, 10, cache=True)) == set(whole)
    hosts = [stream(few, 10, tf.distribute.InputContext(2, i, 2)) for i in range(2)]
    assert sorted(hosts[0] + hosts[1]) == sorted(whole[:40])


def test_numbers_of_classes_do_not_choose(digits, few) -> None:
    names = [str(number) for number in reversed(range(10))]
    other = digits.labels_as(names).few_labels(SPLIT, 4, seed=2)
    assert {(image, 9 - label) for image, label in stream(other, 10)} == set(stream(few, 10))
    assert set(stream(few.labels_as(names), 10)) == set(stream(other, 10))


def test_some_images_are_the_first_that_tfds_has_shuffled(digits) -> None:
    some = digits.some(SPLIT, 270)  # more than are read at a time
    assert some.num_examples(SPLIT) == 270
    first = [example["image"].numpy() for example in reading.read_examples(digits, SPLIT).take(270)]
    assert [example["image"].numpy() for example in reading.read_examples(some, SPLIT)] == first
    assert digits.some(SPLIT, 300) is digits
