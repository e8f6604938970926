"""Which variables are what, asked of the layers that own them."""

from __future__ import annotations

import tensorflow as tf

# What Keras's layers, ours and keras-cv's among them, call them, whatever the variables' names are.
_OWNED = ("gamma", "beta", "bias")


def normalization_and_bias_variables(model: tf.Module) -> list[tf.Variable]:
    """Lists the variables that weight decay and layer adaptation leave alone.

    Args:
      model: a Keras layer or model that has been built, or any tf.Module that holds some.

    Returns:
      `gamma` and `beta` of each normalization and the `bias` of each other layer, frozen ones too,
      each once.

    Raises:
      ValueError: there is a batch normalization whose variables do not exist yet.
    """
    found: dict[int, tf.Variable] = {}
    # tf.Module finds layers in lists and dictionaries too; a layer does not list itself.
    for module in (model, *model.submodules):
        if isinstance(module, tf.keras.layers.BatchNormalization) and not module.built:
            raise ValueError(f"{module.name} has no variables: the model must be built first.")
        for name in _OWNED:
            variable = getattr(module, name, None)
            if isinstance(variable, tf.Variable):
                found.setdefault(id(variable), variable)
    return list(found.values())
