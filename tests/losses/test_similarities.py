"""Figures of the rows, tile by tile, against the whole matrix in float64."""

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.losses.similarities import row_figures

DIM = 5


def draw(pairs: int, scale: float) -> np.ndarray:
    """[2, pairs, DIM]: unit vectors whose two views are akin, times `scale`."""
    random = np.random.default_rng(pairs)
    first = random.normal(size=(pairs, DIM))
    views = np.stack([first, first + random.normal(size=(pairs, DIM))])
    return (scale * views / np.linalg.norm(views, axis=-1, keepdims=True)).astype(np.float32)


def expected(
    rows: np.ndarray,
    columns: np.ndarray,
    offset: int,
    temperature: float,
    weights: np.ndarray,
    without_partner: bool = False,
):
    """The figures, and the gradients of the weighted sum of log_sum_exp, by definition."""
    local, pairs = rows.shape[1], columns.shape[1]
    x, y = (views.astype(np.float64).reshape(-1, DIM) for views in (rows, columns))
    logits = x @ y.T / temperature
    own = np.concatenate([offset + np.arange(local), pairs + offset + np.arange(local)])
    others = logits.copy()
    others[np.arange(2 * local), own] = -np.inf
    if without_partner:
        others[np.arange(2 * local), np.roll(own, local)] = -np.inf
    log_sum_exp = np.logaddexp.reduce(others, axis=1)
    across = logits[:local, pairs:]
    log_p = across - np.logaddexp.reduce(across, axis=1, keepdims=True)
    shares = np.exp(others - log_sum_exp[:, None]) * weights.reshape(-1, 1) / temperature
    figures = (
        log_sum_exp.reshape(2, local),
        across.argmax(1) == offset + np.arange(local),
        -(np.exp(log_p) * log_p).sum(1),
    )
    return figures, ((shares @ y).reshape(rows.shape), (shares.T @ x).reshape(columns.shape))


# Bounded logits, wide ones of unit vectors, and logits up to 2,000.
SETTINGS = [(1.0, 0.1, True), (1.0, 0.01, True), (20.0, 0.2, False)]


@pytest.mark.parametrize(("scale", "temperature", "normalized"), SETTINGS)
@pytest.mark.parametrize(
    ("pairs", "tile", "alone"),
    [(1, 4, False), (4, 4, False), (11, 4, False), (6, 7, False), (9, 1, False)]
    + [(4, 4, True), (11, 4, True), (9, 1, True)],
)
def test_equals_the_whole_matrix(pairs, tile, alone, scale, temperature, normalized):
    rows = draw(pairs, scale)
    weights = np.random.default_rng(1).normal(size=(2, pairs)).astype(np.float32)
    figures, (of_rows, of_columns) = expected(rows, rows, 0, temperature, weights, alone)
    value = tf.constant(rows)
    with tf.GradientTape() as tape:
        tape.watch(value)
        found = row_figures(
            value,
            None,
            offset=tf.constant(0),
            temperature=temperature,
            normalized=normalized,
            tile=tile,
            without_partner=alone,
        )
        loss = tf.reduce_sum(found.log_sum_exp * weights)
    check(found, figures)
    check_gradient(tape.gradient(loss, value), of_rows + of_columns)


@pytest.mark.parametrize(("scale", "temperature", "normalized"), SETTINGS)
@pytest.mark.parametrize(("jit_compile", "alone"), [(False, False), (True, False), (True, True)])
def test_rows_of_one_replica_equal_the_whole_matrix(
    scale, temperature, normalized, jit_compile, alone
):
    columns = draw(11, scale)
    weights = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    rows, offset = columns[:, 6:9], 6

    @tf.function(jit_compile=jit_compile)
    def run(rows, columns):
        with tf.GradientTape() as tape:
            tape.watch([rows, columns])
            found = row_figures(
                rows,
                columns,
                offset=tf.constant(offset),
                temperature=temperature,
                normalized=normalized,
                tile=4,
                without_partner=alone,
            )
            loss = tf.reduce_sum(found.log_sum_exp * weights)
        return found, tape.gradient(loss, [rows, columns])

    found, gradients = run(tf.constant(rows), tf.constant(columns))
    figures, right = expected(rows, columns, offset, temperature, weights, alone)
    check(found, figures)
    for gradient, value in zip(gradients, right, strict=True):
        check_gradient(gradient, value)


def check(found, figures) -> None:
    np.testing.assert_allclose(found.log_sum_exp, figures[0], rtol=3e-6, atol=3e-6)
    np.testing.assert_array_equal(found.hits, figures[1].astype(np.float32))
    np.testing.assert_allclose(found.entropy, figures[2], rtol=1e-5, atol=2e-5)


def check_gradient(found, value) -> None:
    np.testing.assert_allclose(found, value, atol=2e-5 * max(np.abs(value).max(), 1e-3))


def test_of_equal_logits_the_first_is_the_largest():
    """As argmax has it: a collapsed network finds its partner by chance, not always."""
    rows = tf.ones([2, 10, DIM])
    found = row_figures(
        rows, None, offset=tf.constant(0), temperature=5.0, normalized=False, tile=4
    )
    np.testing.assert_array_equal(found.hits, [1.0] + 9 * [0.0])


@pytest.mark.parametrize("columns", [None, 64])
def test_holds_no_matrix_larger_than_a_tile(columns):
    """Looks at every tensor of the graph of the loss and its gradient, inside the loops too."""

    def run(rows, columns=None):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            found = row_figures(
                rows, columns, offset=tf.constant(0), temperature=0.5, normalized=True, tile=16
            )
            loss = tf.reduce_sum(found.log_sum_exp)
        return found, tape.gradient(loss, rows)

    shapes = [tf.TensorSpec([2, count, DIM]) for count in (64, columns) if count]
    graph = tf.function(run).get_concrete_function(*shapes).graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for body in graph.library.function for node in body.node_def)]
    found = [
        [dimension.size for dimension in shape.dim]
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
    ]
    assert [16, 16] in found
    assert max(np.prod(shape) for shape in found) == 2 * 64 * (DIM + 2)  # the views themselves
