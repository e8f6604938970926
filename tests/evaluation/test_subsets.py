"""Which labels are drawn is the same on every stack: figures of few labels can be compared."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from simclr_tf import data
from simclr_tf.data.labels import balanced_subset
from simclr_tf.evaluation.regularization_path import hold_out

pytestmark = pytest.mark.smoke

# Written down on Python 3.11 with NumPy 1.26.
DRAWN = {
    0: [1, 3, 26, 27, 31, 32, 40, 41, 47],
    1: [4, 13, 22, 23, 25, 34, 39, 41, 47],
}
HELD_OUT = [1, 4, 10, 23, 25, 28, 31, 34, 38, 48]
OF_DIGITS = "4679786f8c40b2e2f13e1332224f566e6d7f467680a20eaa440409b1c921bc54"


def test_draws_are_those_that_were_written_down() -> None:
    labels = np.random.RandomState(0).randint(0, 3, 50)  # a stream that NumPy keeps for good
    for seed, places in DRAWN.items():
        assert balanced_subset(labels, 3, seed=seed).tolist() == places
    assert hold_out(labels, seed=0)[1].tolist() == HELD_OUT


def test_five_digits_of_each_class_are_those_they_were() -> None:
    few = data.load("digits").few_labels("train", 5, seed=0)
    images = b"".join(
        example["image"].numpy()
        for example in few.read("train", shard=(1, 0), by_file=False, file_seed=None)
    )
    assert hashlib.sha256(images).hexdigest() == OF_DIGITS
