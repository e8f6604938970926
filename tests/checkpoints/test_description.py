"""simclr.json: what is written, that it is read again, and that nothing else is believed."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simclr_tf.architecture import FIELDS
from simclr_tf.checkpoints import Description, variables_by_path
from simclr_tf.errors import UserError
from simclr_tf.pixel_rule import BEFORE, PixelRule
from tests.checkpoints.small import small_architecture, small_network

GOLDEN = Path(__file__).parents[1] / "golden/format_2"
CLASSIFIER = Description(
    small_architecture(),
    16,
    train_mode="finetune",
    num_classes=3,
    projection_selector=2,
    dataset="digits",
    class_names=("a", "b", "c"),
    step=7,
    pixel_rule=PixelRule((1, 2, 3), (100, 4000)),
)
EXPORTED = json.loads((GOLDEN / "saved_model.json").read_text())
SHAPES = {p: v.shape.as_list() for p, v in variables_by_path(small_network().parts).items()}


def read(content: Any) -> Description:
    return Description.from_json(content, shapes=SHAPES, path="simclr.json")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"class_names": None, "step": None},
        {"num_classes": None, "projection_selector": 0, "class_names": None},
        {"train_mode": None, "dataset": None, "pixel_rule": None},
        {"architecture": small_architecture(torch_normalization=(0.5,) * 6, stem_relu=False)},
    ],
)
def test_what_is_written_is_read(changes) -> None:
    description = dataclasses.replace(CLASSIFIER, **changes)
    assert read(json.loads(json.dumps(description.to_json()))) == description


def test_the_layout_is_that_of_0_1() -> None:
    """But for what exports add, the figures of the architecture, and the rule of pixels."""
    content = CLASSIFIER.to_json()
    added = {"configuration_sha256", "export_precision", "versions", "weights_sha256"}
    assert content.keys() == EXPORTED.keys() - added
    assert content["architecture"].keys() == set(FIELDS)
    assert content["architecture"].keys() - EXPORTED["architecture"].keys() == {"stem_padding"}
    assert content["supervised_head"] == {"num_classes": 3, "ft_proj_selector": 2}
    rule = {"pixel_rule": {"alpha_background": [1, 2, 3], "range_16": [100, 4000]}}
    assert content["preprocessing"] == {"image_size": 16, "value_range": [0.0, 1.0]} | rule
    run = json.loads((GOLDEN / "simclr.json").read_text())
    unnamed = dataclasses.replace(
        CLASSIFIER,
        architecture=small_architecture(width_multiplier=1 / 64),
        image_size=8,
        num_classes=10,
        projection_selector=1,
        class_names=None,
        step=None,
        pixel_rule=BEFORE,
    )
    written = unnamed.to_json()
    assert written["preprocessing"].pop("pixel_rule") == BEFORE.to_json()
    assert written["architecture"].pop("stem_padding") == 1
    assert written == {**run, "format": 4}
    assert Description.from_json(run, shapes=None, path="simclr.json") == unnamed


def test_an_export_of_0_1_is_read() -> None:
    small = {p: v.shape.as_list() for p, v in variables_by_path(_of_0_1()).items()}
    description = Description.from_json(EXPORTED, shapes=small, path="simclr.json")
    assert (description.step, description.num_classes) == (1, 10)
    assert description.pixel_rule == BEFORE
    assert description.class_names == tuple(map(str, range(10)))


def _of_0_1() -> dict[str, Any]:
    return small_network(classes=10, width_multiplier=1 / 64).parts


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("preprocessing/image_size", 0, "says image_size=0, which cannot be"),
        ("preprocessing/image_size", 4097, "says image_size=4097, which cannot be"),
        ("preprocessing/image_size", 16.0, "says image_size=16.0, which cannot be"),
        ("preprocessing", None, "says image_size=None, which cannot be"),
        ("preprocessing", [16], r"says preprocessing=\[16\], which cannot be"),
        ("preprocessing/pixel_rule", 5, r"says alpha_background=\(\), which cannot be"),
        ("preprocessing/pixel_rule/range_16", [9, 5], r"says range_16=\[9, 5\], which cannot be"),
        ("supervised_head", 3, "says supervised_head=3, which cannot be"),
        ("supervised_head", {}, "says num_classes=None, which cannot be"),
        ("supervised_head/num_classes", 0, "says num_classes=0, which cannot be"),
        ("supervised_head/num_classes", 4, r"says num_classes=4, the checkpoint has 3 \(supervi"),
        ("supervised_head/ft_proj_selector", 3, "says ft_proj_selector=3, which cannot be"),
        ("supervised_head/ft_proj_selector", True, "says ft_proj_selector=True, which cannot be"),
        ("train_mode", "trian", "says train_mode=trian, which cannot be"),
        ("dataset", 5, "says dataset=5, which cannot be"),
        ("class_names", ["a", 1], r"says class_names=\['a', 1\], which cannot be"),
        ("step", -1, "says step=-1, which cannot be"),
        ("architecture", None, "says resnet_depth=nothing, which cannot be"),
        ("architecture/width_multiplier", "x\ny" * 30, "says width_multiplier=x yx yx .*cannot be"),
        ("format", "x\ny" * 999, "has format x yx "),
    ],
)
def test_what_cannot_be_is_named_in_one_short_line(place, value, words) -> None:
    content = CLASSIFIER.to_json()
    *tables, name = place.split("/")
    table = content
    for key in tables:
        table = table[key]
    table[name] = value
    with pytest.raises(UserError, match=f"^simclr.json {words}") as error:
        read(content)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    *(("architecture", name) for name in FIELDS),
    *(("preprocessing", "image_size"), ("preprocessing", "pixel_rule")),
    ("supervised_head", "num_classes"),
    *(("supervised_head", "ft_proj_selector"), *((name,) for name in CLASSIFIER.to_json())),
]


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=JSON)
@example(place=("supervised_head", "num_classes"), value=10**400)
@example(place=("step",), value=10**400)
def test_anything_else_is_refused_or_means_what_it_says(place, value) -> None:
    content = copy.deepcopy(CLASSIFIER.to_json())
    *tables, name = place
    table = content[tables[0]] if tables else content
    table[name] = value
    written, told = {}, ""
    try:
        written = read(content).to_json()
    except UserError as error:
        told = str(error)
    assert "\n" not in told and len(told) < 300
    if place == ("format",):
        content["preprocessing"]["pixel_rule"] = written and written["preprocessing"]["pixel_rule"]
    for key in written.keys() - {"format"}:
        assert written[key] == content[key]
    assert told or place != ("format",) or value in (1, 2, 3)
