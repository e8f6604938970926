"""Probe: what the frozen features of an encoder are worth, by kNN, logistic regression, health."""

from __future__ import annotations

import numpy as np

from simclr_tf import files
from simclr_tf.config import Config
from simclr_tf.evaluation import choose_k, describe_accuracy, knn_accuracy
from simclr_tf.evaluation.knn import TEMPERATURE
from simclr_tf.runs.folder import writing
from simclr_tf.runs.frozen import DRAWS, Examples, draw_labels, fit_draws, label_sets, open_frozen
from simclr_tf.runs.health import probe_health
from simclr_tf.runs.record import PROBE, measured_of


def probe(config: Config) -> dict[str, float]:
    """Measures features h on `eval_split`, fitted on shares of `train_split`'s labels.

    And health of h and z on images of `train_split`, see `runs.health`; where a data set has no
    labels, and nothing is given that asks for some, that alone.

    Args:
      config: what was asked. Where `model_dir` holds a run, and no `checkpoint` is given, it is the
        run's newest that is measured, with the run's own data where no others are given. Without
        either the encoder is an untrained one, the floor that learned features must beat. With
        `model_dir`, probe.json is written there.

    Returns:
      Accuracies by name, means over `DRAWS` subsets of the labels; and `knn_k`, `knn_temperature`
      and the number of `labels` and of `test_images`; and health.

    Raises:
      UserError: bad input.
    """
    frozen = open_frozen(config, needs_labels=False)
    config = frozen.config
    print(f"probing on {config.data.dataset}: {frozen.origin}", flush=True)
    result = _measure(*frozen.examples(), config) if frozen.has_labels else {}
    with frozen.train_set.report_bad_images(config.task.model_dir):
        result |= probe_health(config, frozen.train_set, frozen.network, with_head=frozen.has_head)
    if config.task.model_dir:
        with writing(config.task.model_dir, f"{PROBE}, {result},"):
            content = {**result, "of": measured_of(frozen)}
            files.write_json(files.join(config.task.model_dir, PROBE), content)
    return result


def _measure(train: Examples, test: Examples, config: Config) -> dict[str, float]:
    """Prints and returns what probe.json holds."""
    labels, tested = len(train[1]), len(test[1])
    k = choose_k(train[1])
    result: dict[str, float] = {"knn": knn_accuracy(*train, *test, k=k)}
    figure = describe_accuracy(result["knn"], tested)
    print(f"  kNN (k {k}, T {TEMPERATURE:g}), {labels:,} labels: {figure}", flush=True)
    seen: dict[int | None, float] = {}
    for name, each in label_sets(train[1], config):
        if each not in seen:
            seen[each] = _fit(train, test, each, seed=config.task.seed)
        result[f"logistic_regression/{name}"] = seen[each]
    more = {"knn_k": k, "knn_temperature": TEMPERATURE, "labels": labels, "test_images": tested}
    return result | more


def _fit(train: Examples, test: Examples, each: int | None, *, seed: int) -> float:
    """Prints and returns the accuracy with a few of the labels, the mean over draws of them.

    Args:
      train: to draw from.
      test: to measure on.
      each: labels of each class; all of one that has fewer. None for all.
      seed: of the first draw.
    """
    labels = train[1]
    draws = draw_labels(labels, each, seed=seed)
    accuracies = fit_draws(train, test, draws)
    mean, used = float(np.mean(accuracies)), f"{len(draws[0]):,} labels"
    if each is None:
        figure = describe_accuracy(mean, len(test[1]))
    else:
        counts = np.bincount(labels[draws[0]])
        few = counts[counts > 0].min()
        used += (
            f" ({few:,} to {each:,} of each class)"
            if few < each
            else (f" ({each:,} of each class)")
        )
        spread = float(np.std(accuracies))
        figure = f"{describe_accuracy(mean, len(test[1]), deviation=spread)}, {DRAWS} draws"
    print(f"  logistic regression, {used}: {figure}", flush=True)
    return mean
