"""An architecture is told from variables' shapes: that of every kind of block."""

from __future__ import annotations

import pytest

from simclr_tf.architecture import Architecture
from simclr_tf.checkpoints import find_weights, restore_parts, variables_by_path
from simclr_tf.checkpoints.infer_architecture import contradictions, infer_architecture
from simclr_tf.errors import UserError
from simclr_tf.training.build import build_plain
from tests.checkpoints.small import save, small_architecture, small_network, values_of


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
    restored = values_of(again)
    assert all((value == restored[p]).all() for p, value in values_of(network).items())

    shapes = {p: v.shape.as_list() for p, v in variables_by_path(network.parts).items()}
    inferred = infer_architecture(shapes, "test")
    assert inferred.cifar_stem
    rebuilt = build_plain(inferred, num_classes=3)
    assert shapes == {p: v.shape.as_list() for p, v in variables_by_path(rebuilt.parts).items()}


@pytest.fixture(scope="module")
def shapes() -> dict[str, list[int]]:
    return {p: v.shape.as_list() for p, v in variables_by_path(small_network().parts).items()}


def test_heads_are_told_by_their_layers(shapes) -> None:
    assert not list(contradictions(small_architecture(), shapes))
    alike = {p: s for p, s in shapes.items() if not p.startswith("projection_head/layers/1")}
    for mode, layers in (("linear", 3), ("nonlinear", 1)):
        stated = small_architecture(proj_head_mode=mode, num_proj_layers=layers, proj_out_dim=16)
        assert not list(contradictions(stated, alike))
    none = small_architecture(proj_head_mode="none")
    (told,) = contradictions(none, shapes)
    assert told.startswith("a projection head of 0 layers, the checkpoint has 2 (projection_head/")
    left = {p: s for p, s in shapes.items() if not p.startswith("projection_head")}
    assert not list(contradictions(none, left))
    assert infer_architecture(left, "test").projection_layers == 0


@pytest.mark.parametrize(
    ("path", "shape", "words"),
    [
        ("encoder/stem/layers/0/kernel", [3, 3, 3, 6401], "width_multiplier 100.0.* must be"),
        ("encoder/stem/layers/0/kernel", [3, 3, 3, 0], "width_multiplier 0.0 must be"),
        ("encoder/stem/layers/0/kernel", [], "1 convolutions in the stem"),
        ("projection_head/layers/1/dense/kernel", [], "proj_out_dim 0 must be"),
        ("encoder/block_groups/3/blocks/0/excitation/reduce/kernel", [1, 1, 2, 99], "se_ratio 6"),
    ],
)
def test_shapes_of_no_network_are_one_line(path, shape, words, shapes) -> None:
    with pytest.raises(UserError, match=f"test holds no ResNet of simclr_tf: .*{words}") as error:
        infer_architecture({**shapes, path: shape}, "test")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("depth", "cifar_stem", "seen"), [(18, True, False), (18, False, True)])
def test_selective_kernels_of_residual_blocks_are_told_by_the_stem(
    depth: int, cifar_stem: bool, seen: bool
) -> None:
    """They change the stem of large images, and beyond that how shortcuts average."""
    changes = {"resnet_depth": depth, "width_multiplier": 1 / 16, "cifar_stem": cifar_stem}
    plain, selective = (Architecture(**changes, sk_ratio=ratio) for ratio in (0.0, 0.3))
    for here, other in ((plain, selective), (selective, plain)):
        parts = build_plain(here).parts
        shapes = {p: v.shape.as_list() for p, v in variables_by_path(parts).items()}
        assert not list(contradictions(here, shapes))
        told = list(contradictions(other, shapes))
        assert any(words.startswith("sk_ratio=") for words in told) is seen
