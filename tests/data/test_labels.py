"""Names of classes and their numbers, and what is said where labels are missing."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from simclr_tf.data.labels import LabelSample, number_classes, what_is_missing

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("own", "wanted", "numbers"),
    [
        (["a", "b"], ["a", "b"], [0, 1]),
        (["a", "b"], ["b", "c", "a"], [2, 0]),
        (["b", "c", "d"], ["a", "b", "c"], [1, 2, -1]),
        (["caf\u00e9"], ["bar", unicodedata.normalize("NFD", "caf\u00e9")], [1]),
        ([unicodedata.normalize("NFD", "caf\u00e9")], ["bar", "caf\u00e9"], [1]),
        # Where both spellings are there, each is itself.
        (["e\u0301", "\u00e9"], ["\u00e9", "e\u0301"], [1, 0]),
        ([], ["a"], []),
    ],
)
def test_numbers_follow_names(own, wanted, numbers) -> None:
    np.testing.assert_array_equal(number_classes(own, wanted), numbers)


def sample(labels: list[int], total: int | None = None) -> LabelSample:
    return LabelSample("train", np.array(labels, np.int64), len(labels) if total is None else total)


@pytest.mark.parametrize(
    ("samples", "names", "classes", "missing"),
    [
        ([sample([0, 1, -1])], "ab", 2, None),
        ([sample([0, -1]), sample([1])], "ab", 2, None),
        ([sample([0, 0], 9)], "ab", 2, None),  # the other seven may be b
        ([sample([0, 0], 9)], "a", 2, "all labels are of one class, a,"),
        ([sample([1, 1, -1])], "ab", 2, "all labels are of one class, b,"),
        ([sample([1, -1])], "ab", 1, None),
        ([sample([-1, -1])], "ab", 1, "none of the 2 images has a class label"),
        ([sample([-1, -1], 9), sample([-1])], "ab", 1, "none of the first 3 images has a class"),
    ],
)
def test_what_is_missing(samples, names, classes, missing) -> None:
    found = what_is_missing(samples, list(names), classes)
    assert found == missing or found.startswith(missing)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (sample([0, 1]), ""),
        (sample([0, 1], 9), ""),
        (sample([0, -1, 1]), "2 of the 3 images of train have a label"),
        (sample([-1, 0, 1], 9), "some images of train have no label"),
        (sample([-1, -1]), "none of the 2 images of train has a label"),
        (sample([-1, -1], 9), "none of the first 2 images of train has a label"),
    ],
)
def test_only_what_was_seen_is_said(found, said) -> None:
    assert found.describe() == said
