"""ResNet against figures of the reference implementation (golden/architectures.json)."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

from simclr_tf.architecture import RESNET_DEPTHS
from simclr_tf.models import BatchNormRelu, ResNet
from simclr_tf.models.resnet import LAYOUTS
from tests.conftest import call_in_graph

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "architectures.json").read_text())
MODELS = GOLDEN["models"]

# The reference run in float64, weights and images as golden/architectures.json has them; trained
# on two images, the statistics of a few numbers amplify float32 rounding to 10% and more.
# depth, sk_ratio, se_ratio, size, norm of training features, three of them, sum of statistics.
# fmt: off
TRAINING_FLOAT64 = [
    (18, 0.0, 0.0, 32, 29.13449798173792, [0.7804834077369585, 0.8188227786210405, 0.8828797518151297], 4488.331024969154),
    (34, 0.0, 0.0, 64, 34.44428483466498, [1.4274015770242672, 1.706022892391927, 1.4519575815666983], 7896.720560980029),
    (50, 0.0, 0.0, 64, 91.93125418684795, [1.3534323588230175, 1.1344470445701926, 0.2896662408906252], 24204.513681531174),
    (50, 0.0625, 0.0, 64, 83.6074737057227, [0.5744031941847828, 0.6894704617017686, 1.3658212753760106], 28114.64559312741),
    (50, 0.0, 0.25, 64, 41.87617588766357, [0.3046144315635889, 0.4916775174516309, 0.662351624463613], 24030.833402253716),
]
# fmt: on


def describe(model: dict) -> str:
    keys = ("resnet_depth", "width_multiplier", "sk_ratio", "se_ratio", "image_size")
    return "-".join(str(model[key]) for key in keys)


MEASURED = [model for model in MODELS if "eval_features_l2" in model]


def cases(models: list[dict], slow: Callable[[dict], bool]) -> list:
    def marks(model: dict) -> list:
        return [pytest.mark.slow] if slow(model) else []

    return [pytest.param(model, id=describe(model), marks=marks(model)) for model in models]


def build(model: dict) -> ResNet:
    """Makes the encoder of a golden entry, without variables yet."""
    return ResNet(
        model["resnet_depth"],
        width_multiplier=model["width_multiplier"],
        sk_ratio=model["sk_ratio"],
        se_ratio=model["se_ratio"],
        cifar_stem=model["image_size"] <= 32,
    )


def golden_images(size: int, dtype: str = "float32") -> tf.Tensor:
    ramp = np.arange(2 * size * size * 3).reshape(2, size, size, 3)
    return tf.constant(0.5 * np.sin(0.01 * ramp) + 0.5, dtype)


@functools.lru_cache(maxsize=1)
def sines(count: int) -> np.ndarray:
    """Returns `sin(0.61 i + 0.3)`: every kernel of up to `count` numbers begins with them."""
    return np.sin(0.61 * np.arange(count) + 0.3)


def set_golden_weights(encoder: ResNet) -> None:
    sizes = [math.prod(variable.shape) for variable in encoder.trainable_variables]
    longest = 1 << (max(sizes) - 1).bit_length()
    for variable, count in zip(encoder.trainable_variables, sizes):
        if variable.shape.rank > 1:
            fan = count // variable.shape[-1]
            variable.assign((sines(longest)[:count] * np.sqrt(2 / fan)).reshape(variable.shape))
        else:
            variable.assign(0.05 * np.sin(0.7 * np.arange(count) + 0.2))
    for layer in encoder.submodules:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.gamma.assign_add(tf.ones_like(layer.gamma))


def count(variables: list[tf.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


@pytest.fixture(scope="module", params=cases(MEASURED, lambda model: model["encoder_total"] > 4e7))
def built(request) -> Iterator[tuple[dict, ResNet]]:
    """Every network of which the reference's features are known, with its variables."""
    encoder = build(request.param)
    encoder(golden_images(request.param["input_size"]))
    yield request.param, encoder
    sines.cache_clear()


def check_variables(model: dict, encoder: ResNet, features: tf.Tensor) -> None:
    kernels = [list(v.shape) for v in encoder.trainable_variables if v.shape.rank > 1]
    assert count(encoder.trainable_variables) == model["encoder_trainable"]
    assert count(encoder.variables) == model["encoder_total"]
    assert len(encoder.trainable_variables) == model["n_trainable_tensors"]
    expected = model["encoder_kernels"]  # Cut off after 60.
    assert kernels[: len(expected)] == expected
    dim = model.get("features_dim", encoder.features_dim)
    assert features.shape == [1, dim]
    assert encoder.features_dim == dim


def test_variables_have_the_references_number_shapes_and_order(built):
    model, encoder = built
    check_variables(model, encoder, encoder(tf.zeros([1, 32, 32, 3]), training=False))


@pytest.mark.parametrize("model", cases([m for m in MODELS if m not in MEASURED], lambda _: False))
def test_variables_of_a_network_of_gigabytes(model):
    def run():
        encoder = build(model)
        return encoder, encoder(tf.zeros([1, 32, 32, 3]), training=False)

    check_variables(model, *call_in_graph(run))


def test_features_are_the_references(built):
    model, encoder = built
    images = golden_images(model["input_size"])
    set_golden_weights(encoder)
    features = encoder(images, training=False).numpy()
    np.testing.assert_allclose(features[0, :8], model["eval_features_first8"], rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(features), model["eval_features_l2"], rtol=1e-5)
    if model["resnet_depth"] == 18:  # Deeper ones amplify rounding: see TRAINING_FLOAT64.
        trained = encoder(images, training=True).numpy()
        np.testing.assert_allclose(np.linalg.norm(trained), model["train_features_l2"], rtol=5e-3)


@pytest.fixture
def policy():
    """Sets the global precision policy and restores it."""
    yield tf.keras.mixed_precision.set_global_policy
    tf.keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    ("depth", "sk", "se", "size", "norm", "some", "statistics"), TRAINING_FLOAT64
)
def test_training_features_and_statistics_are_the_references(
    policy, depth, sk, se, size, norm, some, statistics, monkeypatch
):
    policy("float64")
    if depth == 50:
        # These multiply float64's rounding too: 1e-15 of noise in the images moves the first norm
        # by 5e-4. Only the reference's own order of sums gives its figures, which Keras has.
        keras = tf.keras.layers.BatchNormalization

        def normalize(layer, inputs, training, _):
            return keras.call(layer, inputs, training)

        monkeypatch.setattr(BatchNormRelu, "_normalize", normalize)
    encoder = ResNet(depth, sk_ratio=sk, se_ratio=se, cifar_stem=size <= 32)
    images = golden_images(size, "float64")
    encoder(images)
    set_golden_weights(encoder)
    features = encoder(images, training=True).numpy()
    np.testing.assert_allclose(np.linalg.norm(features), norm, rtol=1e-7)
    np.testing.assert_allclose(features[1, :3], some, rtol=1e-6)
    total = sum(v.numpy().sum() for v in encoder.non_trainable_variables)
    np.testing.assert_allclose(total, statistics, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "stem", "pool"),
    [
        ({"cifar_stem": True}, 32, 32),
        ({}, 16, 8),
        ({"sk_ratio": 0.0625}, 16, 8),
    ],
)
def test_endpoints_have_the_references_names_and_sizes(arguments, stem, pool):
    encoder = ResNet(18, width_multiplier=0.25, **arguments)
    ends = encoder.endpoints(tf.ones([2, 32, 32, 3]))
    assert {name: tuple(end.shape) for name, end in ends.items()} == {
        "initial_conv": (2, stem, stem, 16),
        "initial_max_pool": (2, pool, pool, 16),
        "block_group1": (2, pool, pool, 16),
        "block_group2": (2, pool // 2, pool // 2, 32),
        "block_group3": (2, pool // 4, pool // 4, 64),
        "block_group4": (2, pool // 8, pool // 8, 128),
        "final_avg_pool": (2, 128),
    }
    assert tf.reduce_min(ends["initial_conv"]) < 0 <= tf.reduce_min(ends["initial_max_pool"])
    np.testing.assert_array_equal(
        encoder(tf.ones([2, 32, 32, 3])),
        encoder.endpoints(tf.ones([2, 32, 32, 3]))["final_avg_pool"],
    )


@pytest.mark.parametrize("size", [28, 33])
def test_odd_sizes_work(size):
    for arguments in ({"cifar_stem": True}, {}, {"sk_ratio": 0.0625}):
        encoder = ResNet(50, width_multiplier=0.125, **arguments)
        assert encoder(tf.ones([1, size, size, 3])).shape == [1, 256]


@pytest.mark.parametrize(
    ("multiplier", "stem"), [(0.25, 16), (0.5, 32), (1 / 3, 21), (0.02, 1), (1.5, 96)]
)
def test_fractional_widths_are_rounded_to_whole_channels(multiplier, stem):
    encoder = ResNet(18, width_multiplier=multiplier, cifar_stem=True)
    ends = encoder.endpoints(tf.ones([1, 8, 8, 3]))
    assert ends["initial_conv"].shape[-1] == stem
    assert ends["final_avg_pool"].shape[-1] == encoder.features_dim


@pytest.mark.parametrize(("depth", "per_block"), [(18, 2), (50, 3)])
def test_blocks_start_as_identities(depth, per_block):
    encoder = ResNet(depth, width_multiplier=0.125, cifar_stem=True)
    encoder(tf.ones([1, 8, 8, 3]))
    norms = [
        layer
        for layer in encoder.submodules
        if isinstance(layer, tf.keras.layers.BatchNormalization)
    ]
    zero = [layer for layer in norms if not tf.reduce_any(layer.gamma != 0)]
    blocks = sum(len(group.blocks) for group in encoder.block_groups)
    assert len(norms) == 1 + blocks * per_block + 4
    assert len(zero) == blocks
    assert not any(layer.relu for layer in zero)


def test_every_depth_that_an_architecture_may_have_is_laid_out():
    assert tuple(LAYOUTS) == RESNET_DEPTHS


@pytest.mark.parametrize(
    ("depth", "arguments", "message"),
    [
        (20, {}, "depth=20 must be one of 18, 34, 50, 101, 152, 200"),
        (18, {"width_multiplier": 0}, "width_multiplier=0 must be 0.015625 to 100"),
        (18, {"width_multiplier": 0.001}, "width_multiplier=0.001 must be 0.015625 to 100"),
        (18, {"sk_ratio": -0.1}, "sk_ratio=-0.1 must be 0"),
        (18, {"se_ratio": 2.0}, "se_ratio=2.0 must be 0"),
    ],
)
def test_bad_arguments_are_named(depth, arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet(depth, **arguments)
