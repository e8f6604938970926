from __future__ import annotations

import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

from simclr_tf.models import (
    ProjectionHead,
    ResNet,
    SupervisedHead,
    normalization_and_bias_variables,
)
from tests.conftest import call_in_graph


class Whole(tf.keras.Model):
    def __init__(self, depth, **arguments):
        super().__init__()
        self.encoder = ResNet(depth, width_multiplier=0.125, cifar_stem=True, **arguments)
        self.heads = {"projection": ProjectionHead(), "supervised": SupervisedHead(3)}

    def call(self, images, training=None):
        features = self.encoder(images, training=training)
        return self.heads["projection"](features), self.heads["supervised"](features)


@pytest.mark.parametrize(
    ("depth", "arguments", "excitations"),
    [(18, {}, 0), (18, {"se_ratio": 0.25}, 8), (50, {"sk_ratio": 0.1, "se_ratio": 0.5}, 16)],
)
def test_lists_vectors_and_leaves_kernels(depth, arguments, excitations):
    def build():
        model = Whole(depth, **arguments)
        model(tf.zeros([1, 8, 8, 3]), training=False)
        return model

    model = call_in_graph(build)  # Faster: variables are compared, none is read.
    listed = normalization_and_bias_variables(model)
    # In these models, and in these only, what is trained and has one axis is such a variable.
    expected = [v for v in model.trainable_variables if v.shape.rank == 1]
    assert len(listed) == len({id(v) for v in listed})
    assert {id(v) for v in listed} == {id(v) for v in expected}
    biases = {id(getattr(layer, "bias", None)) for layer in model.submodules} - {id(None)}
    assert len(biases) == 1 + 2 * excitations
    assert biases <= {id(v) for v in listed}


def test_shapes_and_names_do_not_matter():
    dense = tf.keras.layers.Dense(3, name="batch_normalization_bias", use_bias=False)
    model = tf.keras.Sequential([dense, tf.keras.layers.BatchNormalization(scale=False, name="x")])
    model(tf.zeros([1, 2]))
    assert [v is model.layers[1].beta for v in normalization_and_bias_variables(model)] == [True]


def test_frozen_layers_and_the_layer_itself_are_listed():
    dense = tf.keras.layers.Dense(3)
    dense.trainable = False
    dense(tf.zeros([1, 2]))
    assert [v is dense.bias for v in normalization_and_bias_variables(dense)] == [True]


def test_a_model_without_variables_is_refused():
    with pytest.raises(ValueError, match="built"):
        normalization_and_bias_variables(ResNet(18))
