"""Names of classes and their numbers, and what is said where labels are missing."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from simclr_tf.data.labels import (
    LabelSample,
    balanced_subset,
    describe_classes,
    number_classes,
    what_is_missing,
)

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("own", "wanted", "numbers"),
    [
        (["a", "b"], ["a", "b"], [0, 1]),
        (["a", "b"], ["b", "c", "a"], [2, 0]),
        (["b", "c", "d"], ["a", "b", "c"], [1, 2, -1]),
        (["k\u00f6"], ["bar", unicodedata.normalize("NFD", "k\u00f6")], [1]),
        ([unicodedata.normalize("NFD", "k\u00f6")], ["bar", "k\u00f6"], [1]),
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


def test_a_subset_is_balanced_and_repeatable() -> None:
    labels = np.repeat([0, 1, -1, 2], [100, 200, 70, 5])
    chosen = balanced_subset(labels, 12, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [12, 12, 5])
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, balanced_subset(labels, 12, seed=0))
    assert not np.array_equal(chosen, balanced_subset(labels, 12, seed=1))
    assert len(balanced_subset(np.full(3, -1), 1, seed=0)) == 0
    # On both stacks, so that a run goes on with the images that it began with.
    few = balanced_subset(np.arange(1000) % 3, 2, seed=5)
    np.testing.assert_array_equal(few, [287, 469, 629, 669, 804, 805])


def test_half_of_the_classes_are_as_balanced_as_all() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([1, 3, 5, 7, 9], 40))
    counts = np.bincount(labels[balanced_subset(labels, 4, seed=3)], minlength=10)
    np.testing.assert_array_equal(counts, [0, 4] * 5)


@pytest.mark.parametrize(
    ("names", "samples", "said"),
    [
        ("ab", [sample([0, 1, 1, -1])], "2 classes: a 1, b 2"),
        ("ab", [sample([0]), sample([0])], "2 classes: a 2, b 0"),
        ("ab", [sample([0, 1], 900)], "2 classes: a, b"),  # the others have not been read
        ("a", [sample([0])], "1 class: a 1"),
        (
            [f"c{i}" for i in range(1200)],
            [sample([0] * 1500 + list(range(1, 1199)))],
            "1,200 classes: c0 1,500, c1 1, c2 1, c3 1, c4 1, c5 1, c6 1, c7 1, c8 1, c9 1 "
            "and 1,190 more; 0 to 1,500 images each",
        ),
    ],
)
def test_classes_are_counted_where_that_is_known(names, samples, said) -> None:
    assert describe_classes(list(names), samples) == said
