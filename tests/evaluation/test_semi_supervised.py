"""Which labels semi-supervised runs learn from."""

from __future__ import annotations

import types

import numpy as np
import pytest

from simclr_tf.config import parse
from simclr_tf.errors import SettingError
from simclr_tf.workflows import semi_supervised
from simclr_tf.workflows.semi_supervised import _few_labels

pytestmark = pytest.mark.smoke


def frozen(*flags: str) -> types.SimpleNamespace:
    labels = np.repeat([0, 1, 2, -1], [50, 30, 2, 90])
    train_set = types.SimpleNamespace(all_labels=lambda split: labels)
    return types.SimpleNamespace(config=parse(list(flags)), train_set=train_set)


def test_drawn_labels_are_as_many_of_each_class() -> None:
    few = _few_labels(frozen("--dataset=mine"), 0.1)
    assert few.settings == {"labels_per_class": 3}
    assert (few.name, few.count) == ("10pct", 3 + 3 + 2)
    assert few.case == "10%: 8 labels, 3 of each class"


def test_imagenets_are_the_official_lists(monkeypatch) -> None:
    official = types.SimpleNamespace(num_examples=lambda split: 12811)
    monkeypatch.setattr(semi_supervised.data, "load", lambda name, data_dir: official)
    few = _few_labels(frozen("--dataset=imagenet2012"), 0.01)
    assert few.settings == {
        "dataset": "imagenet2012_subset/1pct",
        "train_split": "train",
        "eval_dataset": "imagenet2012",
    }
    assert few.case == "1%: 12,811 labels of imagenet2012_subset/1pct"
    few = _few_labels(frozen("--dataset=imagenet2012", "--train_split=train[:50%]"), 0.01)
    assert few.settings == {"labels_per_class": 1}, "of a part of ImageNet there is no list"


def test_without_the_list_labels_are_drawn_and_that_is_said(monkeypatch, capsys) -> None:
    def load(name: str, data_dir: str | None) -> None:
        raise SettingError("dataset", name, "is not there")

    monkeypatch.setattr(semi_supervised.data, "load", load)
    few = _few_labels(frozen("--dataset=imagenet2012"), 0.1)
    assert few.settings == {"labels_per_class": 3}
    assert "labels are drawn instead" in capsys.readouterr().out
