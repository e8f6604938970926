"""What all contrastive losses share: the views of the global batch, compared."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from simclr_tf.bounds import TEMPERATURE, check_argument
from simclr_tf.distribution.gather import (
    context_of_many_replicas,
    gather_replicas,
    replica_offset,
)
from simclr_tf.losses.similarities import RowFigures, row_figures

# Height and width of a tile of logits: 4 MiB, which caches hold. Smaller ones cost time.
_TILE = 1024


class NTXentOutput(NamedTuple):
    """What `nt_xent` and its variants return: float32 scalars, means over this replica's pairs.

    Attributes:
      loss: the sum of the losses of the two directions, view 1 -> view 2 and view 2 -> view 1.
      accuracy: contrastive accuracy: how often a view 1 is nearer to its own view 2 than to the
        view 2 of every other pair in the global batch.
      entropy: of the softmax over those similarities, in nats; `log(global pairs)` means that the
        model cannot tell images apart. No gradient flows through accuracy and entropy.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    entropy: tf.Tensor


class Compared(NamedTuple):
    """The views of a replica, compared with all others.

    Attributes:
      views: float32 [2, local pairs, dim], as they were compared.
      everywhere: float32 [2, global pairs, dim], those of all replicas.
      offset: int32 scalar, the place of the first local pair among all.
      figures: of each local view.
    """

    views: tf.Tensor
    everywhere: tf.Tensor
    offset: tf.Tensor
    figures: RowFigures

    def of_pairs(self, loss: tf.Tensor) -> NTXentOutput:
        """Returns each local pair's figures, float32 [local pairs]."""
        return NTXentOutput(loss, self.figures.hits, self.figures.entropy)


def compare(
    first: tf.Tensor,
    second: tf.Tensor,
    *,
    temperature: float,
    hidden_norm: bool,
    without_partner: bool = False,
) -> Compared:
    """Compares each view with all others of the global batch, in float32.

    Args:
      first: float [local pairs, dim], projections of views 1.
      second: likewise, of views 2 of the same images in the same order.
      temperature: the similarities are divided by it. Positive.
      hidden_norm: compare by cosine instead of by dot product.
      without_partner: whether the sums over all others leave out the view of the same image.

    Raises:
      ValueError: `temperature` is not positive.
    """
    check_argument("temperature", temperature, TEMPERATURE)
    views = tf.stack([tf.cast(first, tf.float32), tf.cast(second, tf.float32)])
    if hidden_norm:
        views = tf.math.l2_normalize(views, axis=-1)
    columns = _gather(views)
    offset = replica_offset(tf.shape(views)[1])
    figures = row_figures(
        views,
        columns,
        offset=offset,
        temperature=temperature,
        normalized=hidden_norm,
        tile=_TILE,
        without_partner=without_partner,
    )
    return Compared(views, views if columns is None else columns, offset, figures)


def split_views(hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns views 1 and views 2 of what has one after the other, [2 * pairs, dim].

    Raises:
      ValueError: it is not made of two halves of rows.
    """
    hidden = tf.convert_to_tensor(hidden)
    if hidden.shape.rank != 2 or (hidden.shape[0] or 0) % 2:
        raise ValueError(f"hidden must have the shape [2 * pairs, dim], got {hidden.shape}")
    first, second = tf.split(hidden, 2, axis=0)
    return first, second


def means(of_pairs: NTXentOutput) -> NTXentOutput:
    """Returns means, and 0, not NaN, on a replica that got no pairs of an uneven last batch."""
    return NTXentOutput(*map(_mean, of_pairs))


def _gather(views: tf.Tensor) -> tf.Tensor | None:
    """Returns [2, global pairs, dim], None where this replica holds all."""
    if context_of_many_replicas() is None:
        return None
    # Side by side, so that both views travel in one collective, which forgets their shape.
    first, second = tf.split(gather_replicas(tf.concat(tf.unstack(views), 1)), 2, axis=1)
    return tf.ensure_shape(tf.stack([first, second]), [2, None, views.shape[2]])


def _mean(per_pair: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(
        tf.reduce_sum(per_pair), tf.cast(tf.size(per_pair), per_pair.dtype)
    )
