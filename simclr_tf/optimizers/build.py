"""Optimizers by the name that a user gives."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from simclr_tf import compat
from simclr_tf.bounds import OPTIMIZERS
from simclr_tf.errors import SettingError
from simclr_tf.optimizers.lars import LARS


def decays_weights(name: str) -> bool:
    """Says whether the optimizer itself decays weights; else the loss has to."""
    return name in ("lars", "lamb", "adamw")


def build_optimizer(
    name: str,
    *,
    learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule,
    momentum: float,
    weight_decay: float,
    exclude: Collection[tf.Variable],
) -> tf.keras.optimizers.Optimizer | tf.keras.optimizers.legacy.Optimizer:
    """Returns an optimizer that knows which variables not to decay or adapt.

    `momentum` (Nesterov) and `adam` leave `weight_decay` and `exclude` alone, as the reference
    implementation does: there weight decay is a term of the loss, which the training step adds with
    `l2_penalty`. The others decay weights themselves: `lars` and `lamb` as a part of what the trust
    ratio scales, `adamw` by `learning_rate * weight_decay * w` in each step.

    `lamb` and, where tensorflow-addons exists, `adamw` are legacy Keras optimizers:
    `apply_gradients`, `iterations`, `compile` and checkpoints work alike, but `learning_rate` gives
    the schedule itself and not its present value.

    Args:
      name: one of `bounds.OPTIMIZERS`.
      learning_rate: a float or a schedule, already scaled for the batch.
      momentum: of `lars` and `momentum`; the others do not use it.
      weight_decay: of `lars`, `lamb` and `adamw`.
      exclude: variables that get neither weight decay nor layer adaptation.

    Raises:
      SettingError: the name is unknown, or this Python cannot have the optimizer.
    """
    if name == "lars":
        return LARS(
            learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            exclude_from_weight_decay=exclude,
        )
    if name == "momentum":
        return tf.keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=True)
    if name == "adam":
        return tf.keras.optimizers.Adam(learning_rate)
    if name == "adamw":
        return _adamw(learning_rate, weight_decay, exclude)
    if name == "lamb":
        return _lamb(learning_rate, weight_decay, exclude)
    raise SettingError("optimizer", name, f"must be {OPTIMIZERS}")


def _adamw(
    learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float,
    exclude: Collection[tf.Variable],
) -> tf.keras.optimizers.Optimizer | tf.keras.optimizers.legacy.Optimizer:
    if compat.addons() is None:
        optimizer = tf.keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
        optimizer.exclude_from_weight_decay(var_list=list(exclude))
        return optimizer
    from simclr_tf.optimizers import addons_optimizers

    # tensorflow-addons does not multiply the decay by the learning rate; tf.keras does.
    return addons_optimizers.AdamW(
        learning_rate=learning_rate,
        weight_decay=addons_optimizers.ScaledSchedule(learning_rate, weight_decay),
        exclude=exclude,
    )


def _lamb(
    learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float,
    exclude: Collection[tf.Variable],
) -> tf.keras.optimizers.legacy.Optimizer:
    if compat.addons() is None:
        raise SettingError(
            "optimizer",
            "lamb",
            "comes from tensorflow-addons, which needs Python 3.11",
            "use one of those, or `optimizer=lars`",
        )
    from simclr_tf.optimizers import addons_optimizers

    return addons_optimizers.LAMB(
        learning_rate=learning_rate, weight_decay=weight_decay, exclude=exclude
    )
