"""Steps that would take a network out of the numbers are left out: it stays as it was."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

from simclr_tf.distribution import sum_scalars


class StepGuard:
    """Takes back a step after which the loss or a weight is no number.

    Call `remember` before anything of the step changes a variable, and `settle` at its end.

    Args:
      learned: weights and the optimizer's variables, the same on all replicas.
      observed: batch-norm statistics, which replicas may hold apart.
    """

    def __init__(self, learned: Iterable[tf.Variable], observed: Iterable[tf.Variable]) -> None:
        self._learned = [v for v in learned if v.dtype.is_floating]
        self._observed = list(observed)
        self._in_all = tf.keras.metrics.Sum("train/left_out")
        self._in_a_row = tf.keras.metrics.Sum("train/left_out_in_a_row")

    def remember(self) -> list[tf.Tensor]:
        """Returns the values of all variables now; twice the memory of weights and optimizer."""
        return [tf.identity(v) for v in (*self._learned, *self._observed)]

    def settle(
        self, before: list[tf.Tensor], loss: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Puts back `before` where the step has left the numbers.

        Args:
          before: from `remember`.
          loss: of this replica, a scalar.

        Returns:
          Whether the step counts, a bool scalar, the same on all replicas; and this replica's part
          of how many steps have been left out, in all and since the last that was not, by name.
        """
        broken = sum_scalars(1 - tf.cast(tf.math.is_finite(loss), tf.float32))
        finite = [tf.reduce_all(tf.math.is_finite(v)) for v in self._learned]
        counts = (broken == 0) & tf.reduce_all(tf.stack(finite))
        learned, observed = before[: len(self._learned)], before[len(self._learned) :]
        # A weight that replicas share can be set by all of them together only.
        tf.distribute.get_replica_context().merge_call(
            _restore_shared, args=(self._learned, learned, counts)
        )
        for variable, old in zip(self._observed, observed):
            variable.assign(tf.where(counts, variable, old))
        part = tf.cast(~counts, tf.float32) / tf.cast(
            tf.distribute.get_replica_context().num_replicas_in_sync, tf.float32
        )
        in_all, in_a_row = self._in_all.total, self._in_a_row.total
        in_all.assign_add(part)
        in_a_row.assign(tf.where(counts, 0.0, in_a_row + part))
        return counts, {
            "left_out": in_all.read_value(),
            "left_out_in_a_row": in_a_row.read_value(),
        }


def _restore_shared(
    strategy: tf.distribute.Strategy,
    variables: list[tf.Variable],
    before: list[tf.Tensor],
    counts: tf.Tensor,
) -> None:
    def restore(variable: tf.Variable, old: tf.Tensor, counts: tf.Tensor) -> None:
        variable.assign(tf.where(counts, variable, old))

    for variable, old in zip(variables, before):
        strategy.extended.update(variable, restore, args=(old, counts), group=True)
