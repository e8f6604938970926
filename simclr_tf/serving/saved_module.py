"""The object that becomes a SavedModel: variables where checkpoints have them, one function."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf.checkpoints import variables_by_path
from simclr_tf.checkpoints.variables import module_of
from simclr_tf.serving.signatures import IMAGES
from simclr_tf.training.network import Network


def make_module(network: Network, precision: str) -> tf.Module:
    """Returns the object to save.

    It tracks variables only, at the places where checkpoints hold them: SavedModels and
    checkpoints are read by the same code, and no Keras layer ends up in the file.

    Args:
      network: in float32; with bfloat16 nothing else may use it afterwards.
      precision: float32, or bfloat16: kernels, nearly all of the file, are stored in bfloat16 and
        cast to float32 where they are used. Computation stays in float32, and so do biases and
        what batch normalization holds.
    """
    variables = variables_by_path(network.parts)
    halved = {}
    if precision == "bfloat16":
        halved = {
            path: tf.Variable(
                tf.cast(variable.read_value(), tf.bfloat16), trainable=variable.trainable
            )
            for path, variable in variables.items()
            if variable.shape.rank > 1
        }
    saved = {**variables, **halved}
    root = module_of(saved)
    paths = {id(variable): path for path, variable in variables.items()}
    # The reference's name for what to hand to an optimizer when fine-tuning a loaded model.
    root.trainable_variables_list = [saved[paths[id(v)]] for v in network.trainable_variables]

    @tf.function(autograph=False)
    def call(inputs: tf.Tensor, trainable: bool) -> dict[str, tf.Tensor]:
        with _reading(network, halved):
            return network(inputs, training=trainable)

    call.get_concrete_function(IMAGES, trainable=True)
    root.__call__ = call
    return root


@contextlib.contextmanager
def _reading(network: Network, halved: dict[str, tf.Variable]) -> Iterator[None]:
    """Lets layers use `halved`, cast to float32, in place of their variables of these paths.

    Past Keras, which would stop tracking a variable that is replaced.
    """
    owned = [(*_owner(network, path), variable) for path, variable in halved.items()]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in owned]
    for owner, name, variable in owned:
        object.__setattr__(owner, name, tf.cast(variable, tf.float32))
    try:
        yield
    finally:
        for owner, name, variable in originals:
            object.__setattr__(owner, name, variable)


def _owner(network: Network, path: str) -> tuple[object, str]:
    """Returns the layer that holds the variable at `path`, and the attribute."""
    *places, name = path.split("/")
    node = network.parts[places[0]]
    for place in places[1:]:
        node = tf.train.TrackableView.children(node)[place]
    return node, name
