"""Layer-wise adaptive rate scaling (LARS) in the optimizer API of Keras 2.11 and newer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tensorflow as tf

from simclr_tf.optimizers.exclusion import Exclusion


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class LARS(tf.keras.optimizers.Optimizer):
    """Momentum whose step is scaled per variable by a trust ratio of norms.

    With weights w, gradient g (weight decay added), velocity v and learning rate lr:

        trust(x) = trust_coefficient * ||w|| / ||x||, and 1 if either norm is 0
        classic momentum:   v <- momentum * v + lr * trust(g) * g;   w <- w - v
        otherwise:          v <- momentum * v + g;                   w <- w - lr * trust(v) * v

    Nesterov momentum steps along `momentum * v + (what v just gained)` in the place of v.

    You et al., https://arxiv.org/abs/1708.03888. The classic form and the defaults are those that
    SimCLR was trained with.

    Args:
      learning_rate: a float or a `LearningRateSchedule`.
      momentum: the part of the velocity that each step keeps.
      weight_decay: times w, it is added to the gradient before the norms are taken. (Keras' own
        decoupled weight decay is another thing, and is off.)
      trust_coefficient: how large a step may be relative to the weights it changes; "eeta".
      nesterov: use Nesterov momentum.
      classic_momentum: scale by the learning rate before the momentum instead of after it.
      exclude_from_weight_decay: variables, or positions in the list of variables that the optimizer
        is built with. None means those that a model of this package names when it is compiled:
        normalization and biases, as in the paper; and none of any other model's.
      exclude_from_layer_adaptation: likewise; their trust ratio is 1. None means the same variables
        as for the weight decay.
      name: the name of the optimizer.
      **kwargs: what every Keras optimizer takes: clipnorm, global_clipnorm, clipvalue, use_ema, ...
    """

    def __init__(
        self,
        learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        nesterov: bool = False,
        classic_momentum: bool = True,
        exclude_from_weight_decay: Collection[tf.Variable | int] | None = None,
        exclude_from_layer_adaptation: Collection[tf.Variable | int] | None = None,
        name: str = "LARS",
        **kwargs: Any,
    ) -> None:
        # The base class would subtract a weight decay from the weights, past the trust ratio.
        super().__init__(name=name, weight_decay=None, **kwargs)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.momentum = momentum
        self.l2_weight_decay = weight_decay
        self.trust_coefficient = trust_coefficient
        self.nesterov = nesterov
        self.classic_momentum = classic_momentum
        self._not_decayed = Exclusion(exclude_from_weight_decay)
        self._not_adapted = (
            self._not_decayed
            if exclude_from_layer_adaptation is None
            else Exclusion(exclude_from_layer_adaptation)
        )

    def build(self, var_list: Collection[tf.Variable]) -> None:
        """Creates the velocities, and settles which variables are excluded."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._not_decayed.bind(var_list)
        self._not_adapted.bind(var_list)
        self.velocities = [
            self.add_variable_from_reference(model_variable=variable, variable_name="velocity")
            for variable in var_list
        ]
        self._built = True

    def exclude_by_default(self, variables: Collection[tf.Variable]) -> None:
        """Excludes these from weight decay, if the constructor was not told which."""
        self._not_decayed.default_to(variables)

    def exclude_from_weight_decay(
        self, var_list: Collection[tf.Variable] | None = None, var_names: None = None
    ) -> None:
        """Refused: it governs the decoupled weight decay of Keras, which LARS does not use."""
        raise TypeError("give LARS its exclusions when it is constructed")

    def update_step(self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable) -> None:
        """Moves one variable. Called by Keras with gradients that are clipped and aggregated."""
        gradient = tf.convert_to_tensor(gradient)  # norms need every row of a sparse gradient
        learning_rate = tf.cast(self.learning_rate, variable.dtype)
        momentum = tf.cast(self.momentum, variable.dtype)
        velocity = self.velocities[self._index_dict[self._var_key(variable)]]
        weights = tf.convert_to_tensor(variable)

        if self.l2_weight_decay and variable not in self._not_decayed:
            gradient += tf.cast(self.l2_weight_decay, variable.dtype) * weights
        adapted = variable not in self._not_adapted

        if self.classic_momentum:
            # Scalars first: each pass over the weights of a large network takes its time.
            rate = learning_rate
            if adapted:
                rate = rate * self._trust_ratio(weights, gradient)
            # v <- momentum * v + gain and w <- w - 1 * v at once, or what Nesterov puts for it.
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle,
                accum=velocity.handle,
                lr=tf.ones([], variable.dtype),
                grad=rate * gradient,
                momentum=momentum,
                use_nesterov=self.nesterov,
            )
            return
        new_velocity = momentum * velocity + gradient
        velocity.assign(new_velocity)
        step = momentum * new_velocity + gradient if self.nesterov else new_velocity
        rate = learning_rate
        if adapted:
            rate = rate * self._trust_ratio(weights, step)
        variable.assign_sub(rate * step)

    def _trust_ratio(self, weights: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        """Returns a scalar that makes the step `trust_coefficient` times as long as the weights."""
        weights_norm, direction_norm = _norm(weights), _norm(direction)
        usable = (weights_norm > 0) & (direction_norm > 0)
        return tf.where(usable, self.trust_coefficient * weights_norm / direction_norm, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with exclusions as positions.

        Raises:
          ValueError: exclusions were given as variables and the optimizer is not built yet.
        """
        config = super().get_config()
        config.update(
            {
                "learning_rate": self._serialize_hyperparameter(self._learning_rate),
                "momentum": self.momentum,
                "weight_decay": self.l2_weight_decay,
                "trust_coefficient": self.trust_coefficient,
                "nesterov": self.nesterov,
                "classic_momentum": self.classic_momentum,
                "exclude_from_weight_decay": self._not_decayed.positions(),
                "exclude_from_layer_adaptation": self._not_adapted.positions(),
            }
        )
        return config


def _norm(values: tf.Tensor) -> tf.Tensor:
    """Returns the Euclidean norm, reading `values` once: `tf.norm` stores all squares first."""
    return tf.sqrt(2.0 * tf.nn.l2_loss(values))
