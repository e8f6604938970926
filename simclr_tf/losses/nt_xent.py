"""The contrastive loss of SimCLR: normalized, temperature-scaled cross-entropy (NT-Xent)."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from simclr_tf.bounds import TEMPERATURE, check_argument
from simclr_tf.distribution.gather import gather_replicas, replica_offset

# Far below any logit, and still finite: a row that is masked throughout keeps a finite gradient.
_MASKED = float(tf.float32.min) / 2


class NTXentOutput(NamedTuple):
    """What `nt_xent` returns: float32 scalars, each a mean over this replica's pairs.

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


def nt_xent(hidden: tf.Tensor, *, temperature: float, hidden_norm: bool = True) -> NTXentOutput:
    """Asks each view to find its partner among all other views of the global batch.

    The loss is the sum of the two directions, averaged over pairs. That is twice the mean over
    views which the paper writes (section 2.1, equation 1 and Algorithm 1,
    https://arxiv.org/abs/2002.05709). The reference implementation trains on this sum, and the
    published learning rates were tuned on it.

    In a replica of a strategy the other views are those of all replicas, and gradients flow back to
    all of them. The mean is over the local pairs: multiply the loss by
    `distribution.replica_share(local pairs)` for gradients that are summed over replicas.

    Computes in float32 whatever the input. Memory: a few [local pairs, global pairs] blocks.

    Args:
      hidden: float [2 * local pairs, dim], the projections z. The first half is view 1, the second
        half is view 2 of the same images in the same order.
      temperature: the similarities are divided by it. Positive.
      hidden_norm: compare by cosine instead of by dot product.

    Raises:
      ValueError: `temperature` is not positive, or `hidden` is not made of two halves of rows.
    """
    hidden = tf.convert_to_tensor(hidden)
    if hidden.shape.rank != 2 or (hidden.shape[0] or 0) % 2:
        raise ValueError(f"hidden must have the shape [2 * pairs, dim], got {hidden.shape}")
    first, second = tf.split(hidden, 2, axis=0)
    return NTXentOutput(*map(_mean, _per_pair(first, second, temperature, hidden_norm)))


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class NTXent(tf.keras.losses.Loss):
    """`nt_xent` as a Keras loss: called with the projections of the two views.

        loss = NTXent(temperature=0.2)(z1, z2)

    equals `nt_xent(tf.concat([z1, z2], 0), temperature=0.2).loss`; it is the same either way round.

    Args:
      temperature: the similarities are divided by it. Positive.
      hidden_norm: compare by cosine instead of by dot product.
      reduction: what becomes of the pairs' losses, in Keras's words. By default their mean; in a
        replica of a strategy Keras refuses that: take "sum", and divide by the global batch.
      name: of the loss.

    Raises:
      ValueError: `temperature` is not positive.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        hidden_norm: bool = True,
        reduction: str = "auto",
        name: str = "nt_xent",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        check_argument("temperature", temperature, TEMPERATURE)
        self.temperature = temperature
        self.hidden_norm = hidden_norm

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns each pair's loss, float32 [pairs].

        Args:
          y_true: float [pairs, dim], the projections of views 1. Gradients flow to both.
          y_pred: float [pairs, dim], the projections of views 2, in the same order.

        Raises:
          ValueError: they are not two views of the same images.
        """
        first, second = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
        if first.shape.rank != 2 or not first.shape.is_compatible_with(second.shape):
            raise ValueError(
                f"NTXent compares two [pairs, dim], not {first.shape} and {second.shape}; give it "
                "the projections of the two views"
            )
        return _per_pair(first, second, self.temperature, self.hidden_norm).loss

    def get_config(self) -> dict[str, Any]:
        own = {"temperature": self.temperature, "hidden_norm": self.hidden_norm}
        return {**super().get_config(), **own}


def _per_pair(
    first: tf.Tensor, second: tf.Tensor, temperature: float, hidden_norm: bool
) -> NTXentOutput:
    """Returns each local pair's loss, hit and entropy, float32 [local pairs]."""
    check_argument("temperature", temperature, TEMPERATURE)
    first, second = tf.cast(first, tf.float32), tf.cast(second, tf.float32)
    if hidden_norm:
        first, second = (tf.math.l2_normalize(view, axis=-1) for view in (first, second))
    # Side by side, so that both views travel in one collective.
    all_first, all_second = tf.split(gather_replicas(tf.concat([first, second], 1)), 2, axis=1)

    pairs = _size(first)
    own = replica_offset(pairs) + tf.range(pairs)  # [local]: each pair's column
    is_own = own[:, tf.newaxis] == tf.range(_size(all_first))[tf.newaxis, :]  # [local, global]

    first_to_second = tf.matmul(first, all_second, transpose_b=True) / temperature
    second_to_first = tf.matmul(second, all_first, transpose_b=True) / temperature
    positive = tf.reduce_sum(first * second, axis=1) / temperature  # [local]
    loss = (
        _log_sum_exp_with_same_view(first_to_second, first, all_first, is_own, temperature)
        + _log_sum_exp_with_same_view(second_to_first, second, all_second, is_own, temperature)
        - 2.0 * positive
    )

    logits = tf.stop_gradient(first_to_second)
    hits = tf.argmax(logits, axis=1, output_type=tf.int32) == own
    probability = tf.nn.softmax(logits)
    entropy = -tf.reduce_sum(probability * tf.math.log(probability + 1e-8), axis=1)
    return NTXentOutput(loss, tf.cast(hits, tf.float32), entropy)


def _log_sum_exp_with_same_view(
    across: tf.Tensor,
    view: tf.Tensor,
    all_views: tf.Tensor,
    is_own: tf.Tensor,
    temperature: float,
) -> tf.Tensor:
    """The log of the softmax's denominator: the other view of every image, this view of all others.

    Reduces the two blocks apart, since their concatenation would be twice as large as either.

    Args:
      across: [local, global], logits to the other view.
      view: [local, dim].
      all_views: [global, dim], the same view on all replicas.
      is_own: bool [local, global], marks a view's similarity to itself.
      temperature: divides the similarities.

    Returns:
      [local].
    """
    within = tf.matmul(view, all_views, transpose_b=True) / temperature
    within = tf.where(is_own, _MASKED, within)
    blocks = [tf.reduce_logsumexp(across, axis=1), tf.reduce_logsumexp(within, axis=1)]
    return tf.reduce_logsumexp(tf.stack(blocks), axis=0)


def _size(tensor: tf.Tensor) -> int | tf.Tensor:
    """The number of rows: static where it is known, which XLA on TPUs relies on."""
    static = tensor.shape[0]
    return tf.shape(tensor)[0] if static is None else static


def _mean(per_pair: tf.Tensor) -> tf.Tensor:
    """The mean, and 0 instead of NaN on a replica that got no pairs of an uneven last batch."""
    return tf.math.divide_no_nan(
        tf.reduce_sum(per_pair), tf.cast(tf.size(per_pair), per_pair.dtype)
    )
