"""An architecture is told from variables' shapes: that of every kind of block."""

from __future__ import annotations

import pytest

from simclr_tf.checkpoints import find_weights, restore_parts, variables_by_path
from simclr_tf.checkpoints.infer_architecture import infer_architecture
from simclr_tf.training.build import build_plain
from tests.checkpoints.small import save, small_network, values_of


@pytest.mark.parametrize(
    ("depth", "se_ratio", "sk_ratio"), [(18, 0.25, 0.0), (50, 0.1, 0.0), (50, 0.25, 0.0625)]
)
def test_ratios(depth: int, se_ratio: float, sk_ratio: float, tmp_path) -> None:
    changes = {"resnet_depth": depth, "se_ratio": se_ratio, "sk_ratio": sk_ratio}
    changes["width_multiplier"] = 0.25
    network = small_network(**changes)

    save(network, tmp_path, **changes)
    weights = find_weights(str(tmp_path))  # would refuse a description that contradicts the shapes
    again = small_network(seed="other", **changes)
    restore_parts(again.parts, weights)
    assert all((value == values_of(again)[p]).all() for p, value in values_of(network).items())

    shapes = {p: v.shape.as_list() for p, v in variables_by_path(network.parts).items()}
    inferred = infer_architecture(shapes, "test")
    assert inferred.cifar_stem
    rebuilt = build_plain(inferred, num_classes=3)
    assert shapes == {p: v.shape.as_list() for p, v in variables_by_path(rebuilt.parts).items()}
