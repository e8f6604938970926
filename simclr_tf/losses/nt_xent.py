"""The contrastive loss of SimCLR: normalized, temperature-scaled cross-entropy (NT-Xent)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.bounds import TEMPERATURE, check_argument
from simclr_tf.losses.comparing import NTXentOutput, compare, means, split_views


def nt_xent(hidden: tf.Tensor, *, temperature: float, hidden_norm: bool = True) -> NTXentOutput:
    """Asks each view to find its partner among all other views of the global batch.

    The loss is the sum of the two directions, averaged over pairs. That is twice the mean over
    views which the paper writes (section 2.1, equation 1 and Algorithm 1,
    https://arxiv.org/abs/2002.05709). The reference implementation trains on this sum, and the
    published learning rates were tuned on it.

    In a replica of a strategy the other views are those of all replicas, and gradients flow back to
    all of them. The mean is over the local pairs: multiply the loss by
    `distribution.replica_share(local pairs)` for gradients that are summed over replicas.

    Computes in float32 whatever the input. Memory: a few tiles of logits
    (`losses/similarities.py`), never a [local pairs, global pairs] matrix nor a gradient of one.

    Args:
      hidden: float [2 * local pairs, dim], the projections z. The first half is view 1, the second
        half is view 2 of the same images in the same order.
      temperature: the similarities are divided by it. Positive.
      hidden_norm: compare by cosine instead of by dot product.

    Raises:
      ValueError: `temperature` is not positive, or `hidden` is not made of two halves of rows.
    """
    return means(_per_pair(*split_views(hidden), temperature, hidden_norm))


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
    compared = compare(first, second, temperature=temperature, hidden_norm=hidden_norm)
    positive = tf.reduce_sum(compared.views[0] * compared.views[1], axis=1) / temperature
    log_sum_exp = tf.reduce_sum(compared.figures.log_sum_exp, axis=0)
    return compared.of_pairs(log_sum_exp - 2.0 * positive)
