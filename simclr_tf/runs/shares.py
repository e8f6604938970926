"""Accuracy by number of labels: of learned features, of untrained ones, of runs from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import paths
from simclr_tf.config import Config
from simclr_tf.evaluation.accuracy import wilson_interval
from simclr_tf.report.figures import ByLabels
from simclr_tf.runs import looking
from simclr_tf.runs.evaluation_files import Row
from simclr_tf.runs.frozen import Examples, FrozenEncoder, draw_labels, fit_draws, per_class
from simclr_tf.runs.looking import Looked
from simclr_tf.runs.pictures import Pictures, encode_some
from simclr_tf.runs.record import Record
from simclr_tf.training.build import build_plain

LEARNED, UNTRAINED = "learned features", "untrained features"
SCRATCH, TUNED, LINEAR = "from scratch", "fine-tuned", "linear evaluation"

_TOP_1 = "eval/label_top_1_accuracy"
_NUMBERS = 10**8  # labels x features x classes of one fit: seconds
_PIXELS = 2 * 10**7  # that an untrained encoder is given: 15,000 images of 32 x 32

Point = tuple[int, float, int]
"""Labels, accuracy and test images."""


def of_probe(probe: dict[str, Any], classes: int) -> list[Point]:
    """Returns what probe.json has by `label_fractions`.

    Args:
      probe: its content.
      classes: of the data set.
    """
    points = []
    for name, accuracy in probe.items():
        kind, _, share = name.partition("/")
        if kind == "logistic_regression" and not share.endswith("_per_class"):
            count, labels = float(share), probe["labels"]
            each = max(1, round(count * labels / classes))
            points.append((labels if count == 1 else each * classes, accuracy))
    return [(labels, accuracy, int(probe["test_images"])) for labels, accuracy in points]


def measure_learned(config: Config, looked: Looked) -> list[Point]:
    """Returns the same by the features that a report has looked at; nothing where it takes long."""
    return _measure(config, looked.train, _examples(looked.train), _examples(looked.test))


def measure_untrained(frozen: FrozenEncoder, looked: Looked) -> list[Point]:
    """Returns the same of the encoder that `--mode=probe` takes without weights, same images."""
    config, asked = frozen.config, frozen.config.data
    images = len(looked.train) + len(looked.test)
    if images * asked.image_size**2 > _PIXELS or not _affordable(looked.train):
        return []
    tf.keras.utils.set_random_seed(config.task.seed)
    encoder = build_plain(config.architecture).encoder
    train, test = (
        encode_some(encoder, dataset, config, split, most=most, labeled=True)
        for dataset, split, most in (
            (frozen.train_set, asked.train_split, looking.MOST_TRAIN),
            (frozen.test_set, asked.eval_split, looking.MOST_TEST),
        )
    )
    return _measure(config, train, _examples(train), _examples(test))


def of_protocols(rows: Iterable[Row]) -> Iterator[tuple[str, Point]]:
    """Yields what `--protocol=semi_supervised` has measured: the way, and the figure."""
    for row in rows:
        if row["protocol"] == "semi_supervised":
            way = SCRATCH if row["case"].endswith("from scratch") else TUNED
            yield way, (row["labels"], row["value"], row["test_images"])


def of_run(run: Record, frozen: FrozenEncoder) -> tuple[str, Point] | None:
    """Returns the accuracy of another run, a classifier's, and how it came to be.

    None where it is none that can be compared: of other test images, or of other weights.

    Args:
      run: the other one.
      frozen: the encoder that the report is of.
    """
    asked, own, result = run.config.data, frozen.config.data, run.result
    measured_on = asked.eval_dataset or asked.dataset, asked.eval_split
    same = measured_on == (own.eval_dataset or own.dataset, own.eval_split)
    labels = run.plan.get("train_examples")
    if not same or not labels or not {_TOP_1, "eval/examples"} <= result.keys():
        return None
    point = int(labels), float(result[_TOP_1]), int(result["eval/examples"])
    weights = run.config.task.checkpoint
    if not weights:
        return SCRATCH, point
    folder = frozen.config.task.model_dir
    if not paths.same_place(weights, folder):
        return None
    frozen_too = run.config.finetuning.fine_tune_after_block >= 4
    return (LINEAR if frozen_too else TUNED), point


def lines_of(found: Sequence[tuple[str, Point]]) -> list[ByLabels]:
    """Returns a line for each way to learn, in a fixed order."""
    lines = []
    for name in (LEARNED, UNTRAINED, SCRATCH, TUNED, LINEAR):
        points = sorted({point[0]: point for way, point in found if way == name}.values())
        if points:
            labels, accuracies, images = zip(*points)
            intervals = tuple(map(wilson_interval, accuracies, images))
            lines.append(ByLabels(name, labels, accuracies, intervals))
    return lines


def _examples(pictures: Pictures) -> Examples:
    return pictures.features, pictures.labels


def _affordable(train: Pictures) -> bool:
    classes = len(np.unique(train.labels))
    return train.features.size * classes <= _NUMBERS


def _measure(config: Config, pictures: Pictures, train: Examples, test: Examples) -> list[Point]:
    """Fits on as many labels as `label_fractions` of the whole split are, if there are so many."""
    if not _affordable(pictures):
        return []
    labels = train[1]
    of_all = pictures.total / len(labels) if pictures.is_sample else 1.0
    found: dict[int, Point] = {}
    for fraction in config.evaluation.label_fractions:
        share = fraction * of_all
        draws = draw_labels(
            labels, per_class(share, labels) if share < 1 else None, seed=config.task.seed
        )
        count = len(draws[0])
        if count not in found:
            accuracy = float(np.mean(fit_draws(train, test, draws)))
            found[count] = (count, accuracy, len(test[1]))
    return list(found.values())
