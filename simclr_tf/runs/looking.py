"""What a report looks at: some pictures, what their neighbors vote for, and which to show."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from simclr_tf.embedding import Likeness
from simclr_tf.errors import SettingError
from simclr_tf.evaluation import choose_k
from simclr_tf.evaluation.knn import knn_votes
from simclr_tf.runs.frozen import FrozenEncoder, check_two_classes
from simclr_tf.runs.pictures import Pictures, encode_some

MOST_TRAIN, MOST_TEST = 10_000, 5_000
"""Images that are encoded: an hour's work for ImageNet otherwise, and more than a page can show."""
NEIGHBORS, NEAR = 8, 5
"""Shown of a query, and on the map."""

_QUERIES = 4  # of all; and as many of those whose vote is wrong
_CONFUSIONS, _EXAMPLES = 6, 4


@dataclasses.dataclass(frozen=True)
class Looked:
    """What was seen.

    Attributes:
      train: that votes; the same as `test` without labels.
      test: that is shown.
      k: neighbors that vote, 0 without labels.
      votes: int64 [test], -1 without labels.
      nearest: places in `train`, int64 [test, NEIGHBORS], the nearest first.
      similarity: cosines of these.
      near: places in `test`, int64 [test, NEAR].
    """

    train: Pictures
    test: Pictures
    k: int
    votes: np.ndarray
    nearest: np.ndarray
    similarity: np.ndarray
    near: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Rows of `test` whose neighbors vote for another class than theirs."""
        return np.flatnonzero((self.votes >= 0) & (self.votes != self.test.labels))

    @property
    def accuracy(self) -> float:
        """Share of `test` whose neighbors vote right."""
        return float(np.mean(self.votes == self.test.labels))

    def queries(self) -> list[int]:
        """Returns rows of `test`: evenly spaced ones, then as many of the wrong ones."""
        some = spread(np.arange(len(self.test)), _QUERIES * (1 if self.k else 2))
        return some + [row for row in spread(self.wrong, _QUERIES) if row not in some]

    def confusions(self) -> list[tuple[int, int, np.ndarray]]:
        """Returns the most frequent pairs of a class and a wrong vote, with the rows of `test`."""
        labels, votes = self.test.labels[self.wrong], self.votes[self.wrong]
        pairs, counts = np.unique(np.stack([labels, votes]), axis=1, return_counts=True)
        found = []
        for place in np.argsort(-counts, kind="stable")[:_CONFUSIONS]:
            truth, vote = pairs[:, place]
            found.append((int(truth), int(vote), self.wrong[(labels == truth) & (votes == vote)]))
        return found

    def examples(self, rows: np.ndarray) -> list[int]:
        """Returns some of the rows of a confusion."""
        return spread(rows, _EXAMPLES)


def look(frozen: FrozenEncoder) -> Looked:
    """Encodes pictures, and finds their neighbors.

    Raises:
      SettingError: there are not two of them, or all have one label.
    """
    config, labeled = frozen.config, frozen.has_labels
    split = config.data.eval_split if labeled or "eval_split" in config.given else "all"
    with contextlib.ExitStack() as stack:
        for dataset in {id(each): each for each in (frozen.train_set, frozen.test_set)}.values():
            stack.enter_context(dataset.report_bad_images(config.task.model_dir))
        test = encode_some(
            frozen.encoder, frozen.test_set, config, split, most=MOST_TEST, labeled=labeled
        )
        train = test
        if labeled:
            train = encode_some(
                frozen.encoder,
                frozen.train_set,
                config,
                config.data.train_split,
                most=MOST_TRAIN,
                labeled=True,
            )
    if len(test) < 2:
        raise SettingError("eval_split", split, "has one picture", "give more")
    likeness = Likeness(test.features)
    near = likeness.others[:, :NEAR]
    if not labeled:
        none = np.full(len(test), -1)
        shown = likeness.others[:, :NEIGHBORS], likeness.similarity[:, :NEIGHBORS]
        return Looked(train, test, 0, none, *shown, near)
    check_two_classes(train.labels, config.data.train_split)
    k = choose_k(train.labels)
    votes = knn_votes(train.features, train.labels, test.features, k=k, keep=NEIGHBORS)
    return Looked(train, test, k, votes.classes, votes.nearest, votes.similarity, near)


def spread(rows: np.ndarray, most: int) -> list[int]:
    """Returns at most so many of the rows, evenly spaced."""
    count = min(most, len(rows))
    return [int(rows[place * len(rows) // count]) for place in range(count)]
