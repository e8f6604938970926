"""What a stored rule may say, and which words are colors."""

from __future__ import annotations

import json

import pytest

from simclr_tf.errors import SettingError
from simclr_tf.pixel_rule import BEFORE, WHITE, Color, PixelRule

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("rule", [WHITE, BEFORE, PixelRule((1, 2, 3), (29000, 29255))])
def test_what_is_stored_is_read_back(rule) -> None:
    assert PixelRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("alpha_background", value) for value in ("white", [1, 2], [1, 2, 256], [1, 2, True])],
        *[("range_16", value) for value in (7, [0], [-1, 900], [0, 65536], [0, 254], [900, 100])],
    ],
)
def test_what_cannot_be_is_named(field, value) -> None:
    for content in ({**WHITE.to_json(), field: value}, "white"):
        with pytest.raises(SettingError, match="cannot be"):
            PixelRule.from_json(content)


@pytest.mark.parametrize(
    ("word", "color"),
    [("white", (255, 255, 255)), ("Teal", (0, 128, 128)), ("#0af", (0, 170, 255)),
     ("#102030", (16, 32, 48)), ("rgb(1,2,3)", (1, 2, 3))],
)  # fmt: skip
def test_colors(word, color) -> None:
    assert Color().allows(word)
    assert Color.to_rgb(word) == color


@pytest.mark.parametrize("word", ["", "none", "whitish", "#12345", "#11223344", "1,2,3", 5, None])
def test_what_is_no_color(word) -> None:
    assert not Color().allows(word)
