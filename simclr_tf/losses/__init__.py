"""Losses."""

from simclr_tf.losses.nt_xent import NTXentOutput, nt_xent

__all__ = ["NTXentOutput", "nt_xent"]
