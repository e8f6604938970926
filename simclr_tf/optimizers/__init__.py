"""Optimizers, learning-rate schedules and weight decay."""

from simclr_tf.optimizers.build import build_optimizer
from simclr_tf.optimizers.lars import LARS
from simclr_tf.optimizers.schedules import WarmUpCosine
from simclr_tf.optimizers.weight_decay import l2_penalty

__all__ = ["LARS", "WarmUpCosine", "build_optimizer", "l2_penalty"]
