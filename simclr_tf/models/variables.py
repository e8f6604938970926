"""Which variables are what, asked of the layers that own them."""

from __future__ import annotations

import tensorflow as tf


def normalization_and_bias_variables(model: tf.Module) -> list[tf.Variable]:
    """Lists the variables that weight decay and layer adaptation leave alone.

    Args:
        model: A Keras layer or model that has been built, or any tf.Module that holds some.

    Returns:
        `gamma` and `beta` of each batch normalization and the `bias` of each other layer, frozen
        ones too, each once.

    Raises:
        ValueError: If there is a batch normalization whose variables do not exist yet.
    """
    found: dict[int, tf.Variable] = {}
    # tf.Module finds layers in lists and dictionaries too; a layer does not list itself.
    for module in (model, *model.submodules):
        if isinstance(module, tf.keras.layers.BatchNormalization):
            if not module.built:
                raise ValueError(f"{module.name} has no variables: the model must be built first.")
            owned = [module.gamma, module.beta]
        else:
            owned = [getattr(module, "bias", None)]
        for variable in owned:
            if isinstance(variable, tf.Variable):
                found.setdefault(id(variable), variable)
    return list(found.values())
