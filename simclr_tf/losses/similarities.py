"""What NT-Xent needs of the matrix of all similarities, tile by tile: the matrix never exists.

Rows are the views of this replica, columns those of all replicas. A tile is multiplied out when its
turn comes and dropped again; the gradient multiplies it out once more. On one replica the matrix is
symmetric: a tile serves its rows and, transposed, its columns.

The idea is that of FlashAttention (arXiv 2205.14135); Inf-CL (arXiv 2410.17243) has it for losses
that contrast two modalities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from simclr_tf.losses import tiles

# exp of logits between -x/2 and x/2, less x/2, is a normal float32.
_WIDEST = 80.0


class RowFigures(NamedTuple):
    """Of each row; no gradient flows through `hits` and `entropy`.

    Attributes:
      log_sum_exp: float32 [2, local], of its logits to all columns but its own, and its partner's
        if that is left out.
      hits: float32 [local], of view 1, whether its largest logit to a view 2 is to its partner.
      entropy: float32 [local], of view 1, of the softmax of its logits to views 2, in nats.
    """

    log_sum_exp: tf.Tensor
    hits: tf.Tensor
    entropy: tf.Tensor


def row_figures(
    rows: tf.Tensor,
    columns: tf.Tensor | None,
    *,
    offset: tf.Tensor,
    temperature: float,
    normalized: bool,
    tile: int,
    without_partner: bool = False,
) -> RowFigures:
    """Computes figures of each row of `rows @ columns^T / temperature`.

    Args:
      rows: float32 [2, local, dim], views of the same images.
      columns: float32 [2, global, dim], those of all replicas; None if they are the rows.
      offset: int32 scalar, the place of the first row's image among all.
      temperature: divides the products.
      normalized: whether no product is above 1 or below -1.
      tile: height and width of a tile.
      without_partner: whether the other view of a row's image is left out of `log_sum_exp`.
    """
    bounded = normalized and 2 / temperature <= _WIDEST
    symmetric = columns is None and bounded
    operands = [rows] if symmetric else [rows, rows if columns is None else columns]

    @tf.custom_gradient
    def compute(*operands: tf.Tensor) -> tuple[RowFigures, Callable]:
        matrix = _Matrix(
            *operands,
            offset=offset,
            temperature=temperature,
            tile=tile,
            bounded=bounded,
            without_partner=without_partner,
        )
        figures, log_sum_exp = matrix.figures()

        def grad(upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
            return matrix.gradients(upstream, log_sum_exp)

        return figures, grad

    return compute(*operands)


class _Matrix:
    """The matrix of logits, less what keeps their exponentials within float32.

    Tile (a, b) is of the a-th tile of rows and the b-th of columns; each is of one view. Two more
    dimensions of the vectors mask padding, and take off the constant, in the product itself.

    Args:
      rows, offset, temperature, tile, without_partner: see `row_figures`.
      columns: see there; None, with `bounded` only, makes use of their being the rows.
      bounded: whether one constant keeps the exponentials of all logits normal; else each row has
        a number of its own for each view.
    """

    def __init__(
        self,
        rows: tf.Tensor,
        columns: tf.Tensor | None = None,
        *,
        offset: tf.Tensor,
        temperature: float,
        tile: int,
        bounded: bool,
        without_partner: bool,
    ):
        self._symmetric, self._bounded = columns is None, bounded
        columns = rows if columns is None else columns
        # Whole, so that matrix units of few bits hold it exactly.
        self._constant = float(math.ceil(1 / temperature)) if bounded else 0.0
        self._scale = math.sqrt(temperature)
        self._local = tiles.size(rows)
        self._operands = [rows] if self._symmetric else [rows, columns]
        self._rows = tiles.cut(rows / self._scale, tile, there=(1, 0), padding=(1, tiles.MASKED))
        there, padding = (-self._constant, 1), (tiles.MASKED, 1)
        self._columns = tiles.cut(columns / self._scale, tile, there=there, padding=padding)
        self._height, self._width = tiles.size(self._rows), tiles.size(self._columns)
        self._row_tiles, self._column_tiles = tiles.count(self._rows), tiles.count(self._columns)
        # The columns of each row's own similarity, and of that to its partner.
        view = tf.range(2)[:, tf.newaxis] * (self._column_tiles // 2 * self._width)
        own = view + offset + tf.range(self._row_tiles // 2 * self._height)
        self._own = tf.reshape(own, [self._row_tiles, self._height])
        self._left_out = [self._own]
        if without_partner:
            self._left_out.append(tf.reshape(own[::-1], [self._row_tiles, self._height]))
        self._shift = tf.zeros([2, self._row_tiles, self._height])  # by view of the column, row

    def figures(self) -> tuple[RowFigures, tf.Tensor]:
        """Returns the figures, and log-sum-exp of all rows, shifted, for `gradients`."""
        if not self._bounded:
            self._shift = self._largest()
        half = self._row_tiles // 2

        def add(a: tf.Tensor, b: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            total, *across = state
            logits, exps = self._exponentials(a, b)
            total = tiles.add(total, (self._view(b), a), tf.reduce_sum(exps, 1))
            if self._symmetric:
                total = tf.cond(
                    tf.equal(a, b),
                    lambda: total,
                    lambda: tiles.add(total, (self._view(a), b), tf.reduce_sum(exps, 0)),
                )
            crosses = (a < half) & (self._view(b) == 1)
            across = tf.cond(
                crosses,
                lambda: self._look_across(a, b, logits, exps, *across),
                lambda: tuple(across),
            )
            return total, *across

        ones = tf.ones([half, self._height])
        start = (
            tf.zeros_like(self._shift),
            0 * ones,
            0 * ones,
            2 * tiles.MASKED * ones,
            tf.cast(-ones, tf.int32),
        )
        total, across, weighted, _, nearest = self._walk(add, start)
        logs = self._shift + tf.math.log(total)
        log_sum_exp = tf.reduce_logsumexp(logs, 0)
        entropy = tf.math.log(across) - weighted / across
        hits = tf.cast(nearest == self._own[:half], tf.float32)
        figures = RowFigures(
            tiles.join(log_sum_exp, 2, self._local) + self._constant,
            tiles.join(hits, 1, self._local)[0],
            tiles.join(entropy, 1, self._local)[0],
        )
        return figures, log_sum_exp

    def gradients(self, upstream: tf.Tensor, log_sum_exp: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients of rows and of columns, or that of both if they are the same.

        Args:
          upstream: float32 [2, local], of the figures' log_sum_exp.
          log_sum_exp: as `figures` gave it.
        """
        missing = self._row_tiles // 2 * self._height - self._local
        upstream = tf.reshape(tf.pad(upstream, [[0, 0], [0, missing]]), tf.shape(log_sum_exp))
        # Padding has no exponentials, and 0 upstream.
        weights = tf.math.multiply_no_nan(tf.exp(self._shift - log_sum_exp), upstream)

        def add(a: tf.Tensor, b: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            of_rows, *of_columns = state
            shares = weights[self._view(b), a][:, tf.newaxis]
            if self._symmetric:
                shares += weights[self._view(a), b]
            shares *= self._exponentials(a, b)[1]
            of_rows = tiles.add(of_rows, (a,), tf.matmul(shares, self._columns[b]))

            def back(to: tf.Tensor) -> tf.Tensor:
                return tiles.add(to, (b,), tf.matmul(shares, self._rows[a], transpose_a=True))

            if self._symmetric:
                return (tf.cond(tf.equal(a, b), lambda: of_rows, lambda: back(of_rows)),)
            return of_rows, back(*of_columns)

        start = [tf.zeros_like(self._rows)]
        if not self._symmetric:
            start.append(tf.zeros_like(self._columns))
        found = self._walk(add, start)
        # The shape of an operand is known to more than this graph: see `benchmarks/collectives.py`.
        return [
            tf.reshape(tiles.join(part, 2, tiles.size(x))[..., :-2] / self._scale, tf.shape(x))
            for part, x in zip(found, self._operands)
        ]

    def _largest(self) -> tf.Tensor:
        """Returns each row's largest logit of each view that counts, [2, row tiles, height]."""

        def add(a: tf.Tensor, b: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            (largest,) = state
            logits = self._leave_out(self._logits(a, b), a, b, 2 * tiles.MASKED)
            here = tf.maximum(largest[self._view(b), a], tf.reduce_max(logits, 1))
            return (tf.tensor_scatter_nd_update(largest, [[self._view(b), a]], [here]),)

        (largest,) = self._walk(add, (tf.fill(tf.shape(self._shift), 2 * tiles.MASKED),))
        return tf.maximum(largest, tiles.MASKED / 2)  # what is masked stays far below

    def _look_across(
        self,
        a: tf.Tensor,
        b: tf.Tensor,
        logits: tf.Tensor,
        exps: tf.Tensor,
        total: tf.Tensor,
        weighted: tf.Tensor,
        largest: tf.Tensor,
        nearest: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """Goes on with the figures of view 1 to view 2 by a tile: see `figures`."""
        if len(self._left_out) > 1:  # not of these figures
            logits = tf.minimum(logits, _WIDEST)  # of a partner beyond, entropy is 0 either way
            exps = tf.exp(logits)
        total = tiles.add(total, (a,), tf.reduce_sum(exps, 1))
        weighted = tiles.add(weighted, (a,), tf.reduce_sum(exps * logits, 1))
        here = tf.reduce_max(logits, 1)
        place = (
            tf.argmax(logits, 1, output_type=tf.int32) + (b - self._column_tiles // 2) * self._width
        )
        larger = here > largest[a]
        largest = tf.tensor_scatter_nd_update(largest, [[a]], [tf.where(larger, here, largest[a])])
        place = tf.where(larger, place, nearest[a])
        return total, weighted, largest, tf.tensor_scatter_nd_update(nearest, [[a]], [place])

    def _exponentials(self, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a tile's logits, shifted, and exponentials, 0 of padding and what is left out."""
        logits = self._logits(a, b)
        if not self._bounded:
            logits -= self._shift[self._view(b), a][:, tf.newaxis]
        return logits, self._leave_out(tf.exp(logits), a, b, 0.0)

    def _logits(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.matmul(self._rows[a], self._columns[b], transpose_b=True)

    def _leave_out(self, tile: tf.Tensor, a: tf.Tensor, b: tf.Tensor, value: float) -> tf.Tensor:
        """Replaces each row's similarity to itself, and to its partner, which few tiles hold."""
        for columns in self._left_out:
            tile = self._replace(tile, columns[a] - b * self._width, value)
        return tile

    def _replace(self, tile: tf.Tensor, places: tf.Tensor, value: float) -> tf.Tensor:
        """Replaces one number of each row that has its place in the tile."""
        here = (places >= 0) & (places < self._width)

        def replace() -> tf.Tensor:
            is_here = places[:, tf.newaxis] == tf.range(self._width)[tf.newaxis, :]
            return tf.where(is_here, value, tile)

        return tf.cond(tf.reduce_any(here), replace, lambda: tile)

    def _view(self, tile: tf.Tensor) -> tf.Tensor:
        """Which view a tile of columns is of, 0 or 1; of rows, where those are the same."""
        return tf.cast(tile >= self._column_tiles // 2, tf.int32)

    def _walk(self, add: Callable, state: Sequence[tf.Tensor]) -> tuple[tf.Tensor, ...]:
        """Takes `add(a, b, *state)` from tile to tile; the lower half is left out if symmetric."""

        def step(a: tf.Tensor, b: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            state = add(a, b, *state)
            ends = tf.equal(b + 1, self._column_tiles)
            a = tf.where(ends, a + 1, a)
            return a, tf.where(ends, a if self._symmetric else 0, b + 1), *state

        # Two at a time: one is multiplied while the other is exponentiated.
        start = (tf.constant(0), tf.constant(0), *state)
        ends = tf.while_loop(lambda a, *_: a < self._row_tiles, step, start, parallel_iterations=2)
        return ends[2:]
