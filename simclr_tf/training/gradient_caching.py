"""The exact gradient of a batch that does not fit: its parts are encoded twice.

The first pass keeps projections alone, their loss gives the gradient of each, and the second pass
encodes again what it back-propagates (Gao et al., Scaling Deep Contrastive Learning Batch Size
under Memory Limited Setup, arXiv 2101.06983).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from simclr_tf.distribution import gather_sizes, num_replicas, repeat
from simclr_tf.losses import NTXentOutput
from simclr_tf.training.batches import Batch, make_views, size_of
from simclr_tf.training.measures import labeled, supervised

if TYPE_CHECKING:
    from simclr_tf.training.simclr import SimCLR

Tensors = list[tf.Tensor]


class Gradients(NamedTuple):
    """What a replica's part of a batch comes to.

    Attributes:
      by_variable: in the order of `trainable_variables`; None where nothing depends on one.
      contrast: of this replica's pairs.
      penalty: what the loss adds for weights, a scalar.
      probe: what `measures.supervised` gives of both views of this replica's images; empty without
        a supervised head.
    """

    by_variable: list[tf.Tensor | None]
    contrast: NTXentOutput
    penalty: tf.Tensor
    probe: dict[str, tf.Tensor]


class GradientCache:
    """Two passes over parts of a batch, and the loss between them.

    Row `l` of a replica is in part `l % parts`, so that a part holds the same images whatever the
    number of replicas. View 2 of it is in the part after that: if both views of an image shared the
    statistics of one part's batch normalization, these would tell them (SimCLR, section 2.2).

    What layers keep beside weights, such as moving statistics, moves once in a step: by the mean of
    what each part would have moved it alone.

    Layers that draw random numbers, such as dropout, would draw others in the second pass.

    Args:
      model: whose gradient is wanted.
      micro_batch_size: pairs of a part, over all replicas.

    Raises:
      ValueError: a layer penalizes its activations, of which a part would know its own alone.
    """

    def __init__(self, model: SimCLR, micro_batch_size: int) -> None:
        self._model = model
        self._micro_batch_size = micro_batch_size
        parts = (model.encoder, model.projection_head)
        state = [v for part in parts for v in part.variables if not v.trainable]
        layers = [layer for part in parts for layer in part.submodules]
        if any(getattr(layer, "activity_regularizer", None) for layer in layers):
            raise ValueError(
                f"micro_batch_size={micro_batch_size}, but a layer has an activity_regularizer; "
                "take it away, or give micro_batch_size=0"
            )
        self._state = [v for v in state if v.dtype.is_floating]
        self._used: set[int] = set()  # ids of variables that have a gradient

    def gradients(self, batch: Batch, *, share: tf.Tensor, of_label: tf.Tensor) -> Gradients:
        """Does both passes.

        Args:
          batch: from `batches.with_seeds`; with labels if there is a supervised head.
          share: what this replica's losses are multiplied by: its part of the global batch, times
            the loss scale.
          of_label: likewise, the loss of each view that has a label.
        """
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            penalty = self._model.penalty()
        penalties = self._or_zeros(tape.gradient(penalty, variables, output_gradients=share))
        size, count = self._cut(batch)
        last = self._views(batch, count - 1, count)[:, 1]
        before = [tf.identity(v) for v in self._state]
        projections = tf.zeros([2 * size, self._model.projection_dim])
        _, projections, moved = repeat(
            self._encode,
            count,
            (last, projections, [tf.zeros_like(v) for v in before]),
            (batch, count, before),
        )
        after = [total / tf.cast(count, total.dtype) for total in moved]
        _assign(self._state, after)
        with tf.GradientTape() as tape:
            tape.watch(projections)
            contrast = self._model.contrast(projections, batch)
        to_projections = tape.gradient(contrast.loss, projections, output_gradients=share)
        _, gradients, sums = repeat(
            self._back_propagate,
            count,
            (last, penalties, tf.zeros([3])),
            (batch, count, after, to_projections, of_label),
        )
        gradients = [g if id(v) in self._used else None for v, g in zip(variables, gradients)]
        probe = {}
        if self._model.supervised_head is not None:
            loss, hits, known = tf.unstack(sums)
            probe = {
                "supervised_loss": tf.math.divide_no_nan(loss, known),
                "supervised_acc": tf.math.divide_no_nan(hits, known),
            }
        return Gradients(gradients, contrast, penalty, probe)

    def _encode(self, part: tf.Tensor, state: tuple, constants: tuple) -> tuple:
        """Adds the projections of a part, and what it moves layers' state to; leaves that alone."""
        held, projections, moved = state
        batch, count, before = constants
        images, rows, held = self._images(batch, part, count, held)
        hidden = self._model.project(images, training=True)
        own = tf.cast(hidden[-1], tf.float32)
        projections = tf.tensor_scatter_nd_update(projections, rows[:, tf.newaxis], own)
        moved = [total + v for total, v in zip(moved, self._state)]
        _assign(self._state, before)
        return held, projections, moved

    def _back_propagate(self, part: tf.Tensor, state: tuple, constants: tuple) -> tuple:
        """Adds the gradients of a part's projections and labels; leaves layers' state alone."""
        held, gradients, sums = state
        batch, count, after, to_projections, of_label = constants
        images, rows, held = self._images(batch, part, count, held)
        head = self._model.supervised_head
        with tf.GradientTape() as tape:
            hidden = self._model.project(images, training=True)
            targets = [tf.cast(hidden[-1], tf.float32)]
            to_targets = [tf.gather(to_projections, rows)]
            if head is not None:
                labels = tf.gather(tf.tile(batch["label"], [2]), rows)
                probe = supervised(labels, head(tf.stop_gradient(hidden[0])))
                known = tf.reduce_sum(labeled(labels))
                targets.append(probe["supervised_loss"] * known)
                to_targets.append(of_label)
        if head is not None:
            sums += known * tf.stack([probe["supervised_loss"], probe["supervised_acc"], 1.0])
        variables = self._model.trainable_variables
        added = self._or_zeros(tape.gradient(targets, variables, output_gradients=to_targets))
        gradients = [a + b for a, b in zip(gradients, added)]
        _assign(self._state, after)
        return held, gradients, sums

    def _images(
        self, batch: Batch, part: tf.Tensor, count: int | tf.Tensor, held: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns a part's images, their rows among all views, and what the next part needs."""
        views = self._views(batch, part, count)
        size = size_of(batch)
        before = tf.math.floormod(part - 1, count)
        rows = tf.concat([_rows(part, size, count), size + _rows(before, size, count)], 0)
        return tf.concat([views[:, 0], held], 0), rows, views[:, 1]

    def _views(self, batch: Batch, part: int | tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
        """Returns both views of each image that has its first in this part."""
        rows = _rows(part, size_of(batch), count)
        names = batch.keys() - {"label"}
        return make_views(self._model.views, {name: tf.gather(batch[name], rows) for name in names})

    def _cut(self, batch: Batch) -> tuple[int | tf.Tensor, int | tf.Tensor]:
        """Returns the number of images of this replica, and into how many parts all cut theirs."""
        size, replicas = size_of(batch), num_replicas()
        if isinstance(size, int):
            return size, max(1, -(-size * replicas // self._micro_batch_size))
        sizes = gather_sizes(size)
        count = -(-tf.reduce_max(sizes) * replicas // self._micro_batch_size)
        # No part is empty, but where a replica is: convolutions of nothing fail on CPUs.
        return size, tf.maximum(1, tf.minimum(count, tf.reduce_min(sizes)))

    def _or_zeros(self, gradients: list[tf.Tensor | None]) -> Tensors:
        """Returns gradients that add up, and notes of which variables there are any."""
        variables = self._model.trainable_variables
        self._used |= {id(v) for v, g in zip(variables, gradients) if g is not None}
        return [
            tf.zeros_like(v) if g is None else tf.convert_to_tensor(g)
            for v, g in zip(variables, gradients)
        ]


def _rows(part: int | tf.Tensor, size: int | tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Returns the rows of a part, of a shape that is known where all parts have as many."""
    if isinstance(size, int) and isinstance(count, int) and size % count == 0:
        return part + count * tf.range(size // count)
    # Of no part the shape may be known, for a loop begins with one and goes on with another.
    rows = tf.range(part, size, count)
    return tf.compat.v1.placeholder_with_default(rows, [None])


def _assign(variables: list[tf.Variable], values: Tensors) -> None:
    for variable, value in zip(variables, values):
        variable.assign(value)
