"""LAMB and AdamW of tensorflow-addons, with exclusions by object.

tensorflow-addons excludes variables by regular expressions over their names, which two variables
may share, and its AdamW, given exclusions, decays nothing at all under MirroredStrategy. Both ask
one method per variable, which is answered here from the objects themselves.

Import this module only where `compat.addons()` exists; `build_optimizer` does so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tensorflow as tf

from simclr_tf import compat
from simclr_tf.optimizers.exclusion import Exclusion

_addons = compat.addons()
if _addons is None:
    raise ImportError("tensorflow-addons does not exist for this TensorFlow")

LearningRate = float | tf.keras.optimizers.schedules.LearningRateSchedule


class _ExcludesByObject:
    """Answers tensorflow-addons' questions about a variable. Comes before it among the bases."""

    def __init__(
        self, *, exclude: Collection[tf.Variable | int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._exclusion = Exclusion(exclude)

    def exclude_by_default(self, variables: Collection[tf.Variable]) -> None:
        """Excludes these, if the constructor was not told which; see `LARS`."""
        self._exclusion.default_to(variables)

    def _create_slots(self, var_list: Collection[tf.Variable]) -> None:
        self._exclusion.bind(var_list)
        super()._create_slots(var_list)

    def _do_use_weight_decay(self, variable: tf.Variable) -> bool:
        return variable not in self._exclusion

    def _do_layer_adaptation(self, variable: tf.Variable) -> bool:
        return variable not in self._exclusion

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with exclusions as positions.

        Raises:
          ValueError: exclusions were given as variables and no gradients were applied yet.
        """
        config = super().get_config()
        config.pop("exclude_from_weight_decay", None)
        config.pop("exclude_from_layer_adaptation", None)
        return {**config, "exclude": self._exclusion.positions()}


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class LAMB(_ExcludesByObject, _addons.optimizers.LAMB):
    """Layer-wise adaptive moments, https://arxiv.org/abs/1904.00962.

    Args:
      exclude: variables that get neither weight decay nor layer adaptation, or their positions
        among the variables that gradients are applied to.
      **kwargs: as for `tensorflow_addons.optimizers.LAMB`.
    """


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class AdamW(_ExcludesByObject, _addons.optimizers.AdamW):
    """Adam with decoupled weight decay, https://arxiv.org/abs/1711.05101.

    The weights shrink by `weight_decay` itself in each step; see `ScaledSchedule`.

    Args:
      exclude: variables that get no weight decay, or their positions among the variables that
        gradients are applied to.
      **kwargs: as for `tensorflow_addons.optimizers.AdamW`.
    """


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class ScaledSchedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, or a constant, times a factor.

    It makes the weight decay of tensorflow-addons' AdamW follow the learning rate, as that of
    `tf.keras.optimizers.AdamW` does by itself.
    """

    def __init__(self, base: LearningRate, factor: float) -> None:
        self.base = base
        self.factor = factor

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        value = self.base(step) if callable(self.base) else tf.constant(self.base, tf.float32)
        return self.factor * value

    def get_config(self) -> dict[str, Any]:
        base = (
            tf.keras.optimizers.schedules.serialize(self.base) if callable(self.base) else self.base
        )
        return {"base": base, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScaledSchedule:
        base = config["base"]
        if isinstance(base, dict):
            base = tf.keras.optimizers.schedules.deserialize(base)
        return cls(base, config["factor"])
