"""The learning-rate schedule of SimCLR."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class WarmUpCosine(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to the peak, then falls to 0 along half a cosine, without restarts.

        step < warmup_steps:  peak * step / warmup_steps
        afterwards:           peak * (1 + cos(pi * (step - warmup_steps)
                                               / (total_steps - warmup_steps))) / 2

    SimCLR paper, section 2.2 and appendix B.6; cosine decay: https://arxiv.org/abs/1608.03983.

    Args:
      peak_learning_rate: the learning rate at the end of the warm-up, already scaled for the batch.
      warmup_steps: the length of the warm-up; 0 starts at the peak.
      total_steps: the length of the training, warm-up included. The learning rate stays 0 after it.
        If it does not exceed `warmup_steps`, training ends during the warm-up.

    Raises:
      ValueError: a number of steps is negative.
    """

    def __init__(self, peak_learning_rate: float, warmup_steps: int, total_steps: int) -> None:
        if warmup_steps < 0 or total_steps < 0:
            raise ValueError(f"steps must not be negative, got {warmup_steps=} and {total_steps=}")
        self.peak_learning_rate = peak_learning_rate
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step (an integer or float scalar) as a float32 scalar."""
        step = tf.cast(step, tf.float32)
        rising = step / max(self.warmup_steps, 1)
        decay_steps = max(self.total_steps - self.warmup_steps, 1)
        progress = tf.clip_by_value((step - self.warmup_steps) / decay_steps, 0.0, 1.0)
        falling = 0.5 * (1.0 + tf.cos(math.pi * progress))
        return self.peak_learning_rate * tf.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }
