"""Losses."""

from simclr_tf.losses.nt_xent import NTXent, NTXentOutput, nt_xent

__all__ = ["NTXent", "NTXentOutput", "nt_xent"]
