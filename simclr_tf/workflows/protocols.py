"""The papers' evaluation protocols: an encoder and labels in; a table, JSON and CSV out.

The encoder is that of the last checkpoint. It is frozen, and shown to be: a hash of all its
variables is taken before and after.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import tqdm

from simclr_tf import files, flag_definitions, terminal
from simclr_tf.checkpoints import fingerprint
from simclr_tf.config import Config
from simclr_tf.errors import RunFailed, SettingError
from simclr_tf.evaluation import figures as figures_lib
from simclr_tf.evaluation.clustering import STARTS, cluster_agreement
from simclr_tf.evaluation.figures import Figure
from simclr_tf.evaluation.knn import knn_accuracies
from simclr_tf.evaluation.metrics import top_1
from simclr_tf.evaluation.regularization_path import SETTINGS, STRENGTHS, fit_with_chosen_strength
from simclr_tf.runs.evaluation_files import NAME, rows_of, write_rows
from simclr_tf.runs.frozen import (
    Examples,
    FrozenEncoder,
    draw_labels,
    label_sets,
    open_frozen,
)
from simclr_tf.runs.linear import linear_evaluation
from simclr_tf.runs.transfer import transfer
from simclr_tf.workflows.semi_supervised import semi_supervised

Features = Callable[[], tuple[Examples, Examples]]
"""Returns what to fit on and what to measure on; encoded once, and only where it is asked for."""


def evaluate_by_protocols(config: Config) -> list[dict[str, Any]]:
    """Measures the features of an encoder by each `protocol` that is asked for.

    Args:
      config: what was asked. Weights and data are found as `simclr_tf.workflows.probe` finds them.
        With `model_dir`, evaluation.json and evaluation.csv are written there. They keep what was
        measured before of the same weights by other protocols, or on other data.

    Returns:
      The figures, as evaluation.json lists them.

    Raises:
      UserError: bad input.
      RunFailed: the encoder is not what it was before.
    """
    frozen = open_frozen(config)
    config, asked = frozen.config, frozen.config.evaluation.protocol
    if "semi_supervised" in asked and frozen.weights is None:
        raise SettingError(
            "protocol",
            "semi_supervised",
            "compares pre-trained weights with none",
            "give `checkpoint`, or the `model_dir` of a run that has one",
        )
    before = fingerprint({"encoder": frozen.encoder})
    print(f"evaluating on {config.data.dataset}: {frozen.origin}\n  sha256 {before}", flush=True)
    features = functools.cache(frozen.examples)
    rows: list[dict[str, Any]] = []
    for protocol in [name for name in flag_definitions.PROTOCOLS if name in asked]:
        measured = _PROTOCOLS[protocol](frozen, features)
        print(figures_lib.table(measured), flush=True)
        after = fingerprint({"encoder": frozen.encoder})
        _check_frozen(before, after)
        found = rows_of(frozen, measured, before=before, after=after)
        if config.task.model_dir:  # at once: the next protocol may take hours
            write_rows(config.task.model_dir, found)
        rows += found
    if config.task.model_dir:
        print(f"  in {files.join(config.task.model_dir, NAME)}.json and .csv")
    return rows


def _knn(frozen: FrozenEncoder, features: Features) -> list[Figure]:
    train, test = features()
    pairs = frozen.config.evaluation.knn_pairs
    return [
        Figure(
            "knn",
            f"k {min(k, len(train[1]))}, T {temperature:g}",
            figures_lib.TOP_1,
            (accuracy,),
            dataset=frozen.test_set.name,
            labels=len(train[1]),
            test_images=len(test[1]),
            settings={
                "labels": len(train[1]),
                "similarity": "cosine",
                "votes": "exp(similarity / T)",
            },
        )
        for (k, temperature), accuracy in zip(pairs, knn_accuracies(*train, *test, pairs=pairs))
    ]


def _logistic_regression(frozen: FrozenEncoder, features: Features) -> list[Figure]:
    train, test = features()
    seed, classes = frozen.config.task.seed, frozen.num_classes
    figures = []
    for name, each in dict(label_sets(train[1], frozen.config)).items():
        accuracies, strengths = [], []
        draws = draw_labels(train[1], each, seed=seed)
        case = _case(name, each, len(draws[0]))
        with _progress(f"logistic_regression, {case}", len(draws) * len(STRENGTHS)) as bar:
            for draw, places in enumerate(draws):
                fitted = fit_with_chosen_strength(
                    (train[0][places], train[1][places]),
                    classes=classes,
                    metric=top_1,
                    seed=seed + draw,
                    tick=bar.update,
                )
                accuracies.append(top_1(fitted.scores(test[0]), test[1]))
                strengths.append(fitted.strength)
        figures.append(
            Figure(
                "logistic_regression",
                case,
                figures_lib.TOP_1,
                tuple(accuracies),
                dataset=frozen.test_set.name,
                labels=len(draws[0]),
                test_images=len(test[1]),
                settings={**SETTINGS, "strength": strengths, "chosen on": fitted.held_out},
                repeated="draws",
            )
        )
    return figures


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Any]:
    """Shows a bar on a terminal; elsewhere a line once it is done."""
    began = time.monotonic()
    with tqdm.tqdm(total=total, desc=what, leave=False, disable=not terminal.is_watched()) as bar:
        yield bar
    print(f"  {what}: took {terminal.duration(time.monotonic() - began)}", flush=True)


def _case(name: str, each: int | None, labels: int) -> str:
    """Returns which labels were fitted on, in words; see `label_sets`."""
    share = "" if name.endswith("_per_class") else f"{100 * float(name):g}%: "
    of_each = "" if each is None else f", {each:,} of each class"
    return f"{share}{labels:,} labels{of_each}"


def _clustering(frozen: FrozenEncoder, features: Features) -> list[Figure]:
    train, test = features()
    del train
    task, classes = frozen.config.task, frozen.num_classes
    seeds = range(task.seed, task.seed + frozen.config.evaluation.seeds)
    found = [cluster_agreement(*test, clusters=classes, seed=seed) for seed in seeds]
    return [
        Figure(
            "clustering",
            f"k-means, {classes:,} clusters",
            metric,
            values,
            dataset=frozen.test_set.name,
            labels=0,
            test_images=len(test[1]),
            settings={"starts": STARTS, "features": "L2-normalized", "of": "eval_split"},
            repeated="seeds",
        )
        for metric, values in zip((figures_lib.NMI, figures_lib.ARI), zip(*found))
    ]


_PROTOCOLS: dict[str, Callable[[FrozenEncoder, Features], list[Figure]]] = {
    "knn": _knn,
    "logistic_regression": _logistic_regression,
    "linear": lambda frozen, features: linear_evaluation(frozen, features()),
    "clustering": _clustering,
    "semi_supervised": lambda frozen, features: semi_supervised(frozen),
    "transfer": lambda frozen, features: transfer(frozen),
}


def _check_frozen(before: str, after: str) -> None:
    if before != after:
        raise RunFailed(
            "the encoder has changed while it was measured: the sha256 of its variables was "
            f"{before[:16]}... before and is {after[:16]}... now, so its figures are not those of "
            "a frozen encoder, and none of them was written; that is a bug, please report it"
        )
