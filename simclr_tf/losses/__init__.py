"""Losses."""

from simclr_tf.losses.comparing import NTXentOutput
from simclr_tf.losses.dcl import dcl
from simclr_tf.losses.distillation import distillation_loss
from simclr_tf.losses.nt_xent import NTXent, nt_xent
from simclr_tf.losses.sup_con import sup_con

__all__ = ["NTXent", "NTXentOutput", "dcl", "distillation_loss", "nt_xent", "sup_con"]
