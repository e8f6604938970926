"""Logistic regression whose strength of regularization is chosen on held-out labels."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

STRENGTHS = np.logspace(-6, 5, 45)
"""Factors of half the squared norm of the weights, beside the sum of losses: scikit-learn's 1/C of
features whose mean variance is 1."""

HELD_OUT = 0.2
"""Share of each class's labels on which the strength is chosen without a validation split."""

# Where nothing can be held out, because no class has two labels.
_MIDDLE = float(STRENGTHS[len(STRENGTHS) // 2])
_ON_THE_PATH, _AT_THE_END = 100, 1000  # iterations, at most
# Where iterations end: by the largest slope, and by the relative decrease, of the mean loss.
_GRADIENT, _DECREASE = 1e-5, 1e-9
_SMALL = 10_000_000  # products of a pass over the examples

SETTINGS = {
    "penalty": "L2",
    "solver": "L-BFGS",
    "strengths": f"{len(STRENGTHS)} from {STRENGTHS[0]:g} to {STRENGTHS[-1]:g}",
    "unit": "the features' mean variance",
}
"""What is to be said of a fit."""

Examples = tuple[np.ndarray, np.ndarray]
Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
    """A fitted classifier.

    Attributes:
      weights: float32 [dim + 1, columns], the bias last.
      mean: of the features that it was fitted on, float32 [dim].
      columns: the class of each column, int [columns].
      classes: of which there are so many.
      strength: of its regularization.
      held_out: labels on which the strength was chosen; 0 where there were too few.
    """

    weights: np.ndarray
    mean: np.ndarray
    columns: np.ndarray
    classes: int
    strength: float
    held_out: int

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Returns float32 [n, classes], of a class that it has never seen -inf."""
        scores = np.full([len(features), self.classes], -np.inf, np.float32)
        bias = self.weights[-1] - self.mean @ self.weights[:-1]
        scores[:, self.columns] = features @ self.weights[:-1] + bias
        return scores


def fit_with_chosen_strength(
    train: Examples,
    *,
    classes: int,
    metric: Metric,
    seed: int,
    validation: Examples | None = None,
    tick: Callable[[], object] = lambda: None,
) -> LinearClassifier:
    """Fits as SimCLR's appendix B.8 does: L2-regularized multinomial, by L-BFGS.

    The strengths are tried from the strongest to the weakest, each from the weights of the one
    before. Of equally good ones it is the middle one. With it, the classifier is fitted to all
    labels. The bias is not regularized. Strengths are in units of the features' mean variance, so
    that they mean the same for networks whose features are large or small as a whole. Arithmetic is
    in float32, sums and steps in float64.

    Args:
      train: features float [n, dim], labels int [n]; or bool [n, classes] where an example has
        several: then each class is a problem of its own, as for VOC2007.
      classes: how many there are.
      metric: scores [n, classes] and labels -> what the strength is chosen by.
      seed: of the labels that are held out.
      validation: to choose the strength on; None holds out `HELD_OUT` of the labels.
      tick: called after each strength.
    """
    features, labels = train
    if validation is None:
        kept, held = hold_out(labels, seed=seed)
        parts = (features[kept], labels[kept]), (features[held], labels[held])
        everything = train
    else:
        parts = train, validation
        everything = (
            np.concatenate([features, validation[0]]),
            np.concatenate([labels, validation[1]]),
        )
    unit = float(_variance(features).mean())
    with _few_threads(features.size * classes):
        strength, start = _choose(*parts, classes=classes, metric=metric, unit=unit, tick=tick)
        problem = _Problem(*everything)
        weights = problem.minimize(strength * unit, problem.adopt(start), _AT_THE_END)
    mean, columns = problem.mean, problem.columns
    return LinearClassifier(weights, mean, columns, classes, strength, len(parts[1][1]))


def hold_out(labels: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of labels to keep and to hold out, int64, ascending.

    Each class gives `HELD_OUT` of its labels, one at least where it has two. Where examples have
    several labels they are drawn regardless of class.

    Args:
      labels: int [n], or bool [n, classes].
      seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    groups = [np.arange(len(labels))]
    if labels.ndim == 1:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    held = [np.zeros(0, np.int64)]
    for members in groups:
        count = min(max(round(HELD_OUT * len(members)), 1), len(members) - 1)
        held.append(generator.choice(members, count, replace=False))
    places = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), places), places


def _few_threads(size: int) -> contextlib.AbstractContextManager[Any]:
    """Keeps small products on one thread, where handing them out takes ten times their own time."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas") if size < _SMALL else contextlib.nullcontext()


def _choose(
    train: Examples,
    held: Examples,
    *,
    classes: int,
    metric: Metric,
    unit: float,
    tick: Callable[[], object],
) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Returns the best strength, and the weights of these labels with it, with their classes."""
    problem = _Problem(*train)
    weights = np.zeros(problem.shape)
    if not len(held[1]):
        return _MIDDLE, (problem.columns, weights)
    best = -np.inf
    equals: list[tuple[float, np.ndarray]] = []
    for strength in STRENGTHS[::-1]:
        weights = problem.minimize(strength * unit, weights, _ON_THE_PATH)
        fitted = LinearClassifier(weights, problem.mean, problem.columns, classes, strength, 0)
        score = metric(fitted.scores(held[0]), held[1])
        tick()
        if score > best:
            best, equals = score, []
        if score == best:
            equals.append((float(strength), weights))
    strength, weights = equals[len(equals) // 2]
    return strength, (problem.columns, weights)


class _Problem:
    """The loss of some labels; its examples are centered, which changes the bias alone.

    Attributes:
      mean, columns: see `LinearClassifier`.
      shape: of the weights.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        self.mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._features = features - self.mean
        self._variance = _variance(self._features)
        if labels.ndim == 2:
            self.columns = np.arange(labels.shape[1])
            self._wanted: np.ndarray = labels.astype(np.float32)
        else:
            self.columns = np.unique(labels)
            self._wanted = np.searchsorted(self.columns, labels)
        self.shape = (features.shape[1] + 1, len(self.columns))

    def adopt(self, start: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Returns weights to begin with: those of a part of these labels, 0 for other classes."""
        columns, weights = start
        adopted = np.zeros(self.shape)
        adopted[:, np.searchsorted(self.columns, columns)] = weights
        return adopted

    def minimize(self, strength: float, start: np.ndarray, iterations: int) -> np.ndarray:
        """Returns the weights of the least loss, float32."""
        from scipy.optimize import minimize  # half a second, and most evaluations do without

        # In these units all directions are about as steep, whatever the scale of a feature is.
        steepness = self._variance + strength / len(self._features) + 1e-30
        units = np.append(1 / np.sqrt(steepness), 1.0)[:, None]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, slopes = self._objective(flat.reshape(self.shape) * units, strength)
            return loss, (slopes * units).ravel()

        options = {"maxiter": iterations, "gtol": _GRADIENT, "ftol": _DECREASE}
        start = (start / units).ravel()
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        return (found.x.reshape(self.shape) * units).astype(np.float32)

    def _objective(self, weights: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        """Returns loss and gradient, both a label's share, as large for few labels as for many."""
        count = len(self._features)
        narrow = weights.astype(np.float32)
        scores = self._features @ narrow[:-1]
        scores += narrow[-1]
        loss, error = (
            _several(scores, self._wanted) if self._wanted.ndim == 2 else _one(scores, self._wanted)
        )
        slopes = np.empty(self.shape)
        slopes[:-1] = self._features.T @ error
        slopes[:-1] += strength * weights[:-1]
        slopes[-1] = error.sum(axis=0, dtype=np.float64)
        penalty = strength / 2 * float(np.sum(weights[:-1] ** 2))
        return (loss + penalty) / count, slopes / count


def _variance(features: np.ndarray) -> np.ndarray:
    """Returns the variance of each column, float64, without a copy of all."""
    squares = np.einsum("ij,ij->j", features, features, dtype=np.float64) / len(features)
    return np.maximum(squares - features.mean(axis=0, dtype=np.float64) ** 2, 0.0)


def _one(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the sum of cross-entropies, and its derivatives by `scores`, in their place."""
    rows = np.arange(len(labels))
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[rows, labels].copy()
    np.exp(scores, out=scores)
    total = scores.sum(axis=1)
    loss = float(np.sum(np.log(total) - right, dtype=np.float64))
    scores /= total[:, None]
    scores[rows, labels] -= 1
    return loss, scores


def _several(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """As `_one`, where each class is there or not: labels float32 [n, classes], 0 or 1."""
    loss = float(np.sum(np.logaddexp(0, scores) - labels * scores, dtype=np.float64))
    return loss, 0.5 * (1 + np.tanh(scores / 2)) - labels
