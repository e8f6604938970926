"""How a network takes an optimizer step, whatever the loss, precision and devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from simclr_tf.checkpoints import variables_by_path
from simclr_tf.training.leaving_out import StepGuard
from simclr_tf.training.measures import record

_COMPILED = ("optimizer", "jit_compile", "steps_per_execution", "run_eagerly")


class Stepping(tf.keras.Model):
    """A model whose `train_step` begins with `begin_step` and ends with `end_step`."""

    train_metrics: Mapping[str, tf.keras.metrics.Mean]

    def __init__(self) -> None:
        super().__init__()
        self._guard: StepGuard | None = None
        self._told: Callable[[], tf.Tensor] | None = None
        self._with_sums = False

    @property
    def parts(self) -> Mapping[str, tf.keras.layers.Layer]:
        """The parts by the names under which checkpoints hold them."""
        raise NotImplementedError

    @property
    def undecayed(self) -> list[tf.Variable]:
        """Variables that the optimizer neither decays nor adapts layer-wise."""
        raise NotImplementedError

    def compile(
        self,
        optimizer: str | tf.keras.optimizers.Optimizer = "rmsprop",
        *,
        jit_compile: bool | None = None,
        steps_per_execution: int | None = None,
        run_eagerly: bool | None = None,
        skip_nonfinite: bool = False,
    ) -> None:
        """Gives the network its optimizer; the loss is its own.

        An optimizer of this package that was not told which variables to exclude from weight decay
        and layer adaptation excludes `undecayed`, as the paper does. Freeze layers before.

        Args:
          optimizer: a Keras optimizer or its name. Keras's default will do to evaluate.
          jit_compile: as for any Keras model.
          steps_per_execution: as for any Keras model.
          run_eagerly: as for any Keras model.
          skip_nonfinite: whether a step after which the loss or a weight is no number is left out:
            weights, optimizer and statistics stay as they were. It holds them twice.
        """
        super().compile(
            optimizer=optimizer,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )
        if hasattr(self._inner_optimizer, "exclude_by_default"):
            self._inner_optimizer.exclude_by_default(self.undecayed)
        self._guard = self._make_guard() if skip_nonfinite else None
        self.__dict__.pop("train_step", None)
        one_replica = self.distribute_strategy.num_replicas_in_sync == 1
        if (steps_per_execution or 1) > 1 and one_replica and not run_eagerly:
            # Keras's loop traces its body twice, and the step therein but once if it is a function.
            # Not as an attribute, which checkpoints would hold.
            self.__dict__["train_step"] = tf.function(self.train_step)

    def build_optimizer(self) -> None:
        """Creates its variables, which a file holds, and by whose order it knows exclusions."""
        optimizer = self._inner_optimizer
        create = getattr(optimizer, "build", None) or optimizer._create_all_weights  # legacy ones
        create(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the arguments of `compile`, for `.keras` files."""
        self.build_optimizer()
        config = super().get_compile_config() or {}
        kept = {name: config[name] for name in _COMPILED if name in config}
        return {**kept, "skip_nonfinite": self._guard is not None}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the network was that the file holds."""
        self.compile(**tf.keras.saving.deserialize_keras_object(config))
        self.build_optimizer()

    @property
    def _inner_optimizer(self) -> Any:
        """The optimizer, without what scales the loss under mixed_float16."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)

    def _make_guard(self) -> StepGuard:
        self.build_optimizer()
        own = self._inner_optimizer.variables
        learned = [*self.trainable_variables, *(own() if callable(own) else own)]
        parts = variables_by_path(self.parts).values()
        known = {id(v) for v in learned}
        return StepGuard(learned, [v for v in parts if id(v) not in known])

    def share_stop(self, told: Callable[[], tf.Tensor]) -> None:
        """Has each step return `stop`, the sum of what `told` gives on each replica.

        Args:
          told: returns a float32 scalar in the step.
        """
        self._told = told

    def share_sums(self) -> None:
        """Has each step return `sums`, what its means are made of; see `measures.record`."""
        self._with_sums = True

    def begin_step(self) -> list[tf.Tensor]:
        """Returns what `end_step` needs. Call it before a step changes any variable."""
        return [] if self._guard is None else self._guard.remember()

    @property
    def loss_scale(self) -> tf.Tensor | None:
        """What losses are multiplied by for their gradients, None for 1.

        Small gradients would be zero in float16. `end_step` divides by it again.
        """
        if isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
            return self.optimizer.get_scaled_loss(tf.ones([]))
        return None

    def end_step(
        self,
        before: list[tf.Tensor],
        gradients: list[tf.Tensor | None],
        *measured: tuple[dict[str, tf.Tensor], tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Takes one optimizer step, and returns what the step returns.

        Args:
          before: from `begin_step`.
          gradients: by `trainable_variables`, of this replica's share of the loss, `loss *
            replica_share(batch)`, since Keras sums gradients over replicas; times `loss_scale`.
          *measured: values of `train_metrics`, the `total_loss` among the first, and over how many
            images of this replica they are means.
        """
        variables, optimizer = self.trainable_variables, self.optimizer
        if self.loss_scale is not None:
            gradients = optimizer.get_unscaled_gradients(gradients)
        optimizer.apply_gradients(zip(gradients, variables))
        counts, more = None, dict[str, tf.Tensor]()
        if self._guard is not None:
            counts, more = self._guard.settle(before, measured[0][0]["total_loss"])
        if self._told is not None:
            more["stop"] = self._told()
        return record(
            self.train_metrics, *measured, counts=counts, more=more, with_sums=self._with_sums
        )
