"""The parts of a report: what they draw, and that no name becomes HTML."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from simclr_tf.report import layout, markup
from simclr_tf.report.charts import Chart, Line, ticks, write_ticks
from simclr_tf.report.sheets import SIDES, Sheet, choose_side

EVIL = "</script><script>alert(1)</script>&\"'<!--"


def test_embedded_json_does_not_end_its_element() -> None:
    text = markup.embedded_json({EVIL: [EVIL, 1.5, None]})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {EVIL: [EVIL, 1.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        markup.embedded_json([float("nan")])


@pytest.mark.parametrize(
    "html",
    [
        markup.paragraph(EVIL),
        markup.missing(EVIL, EVIL),
        markup.table([EVIL, EVIL], [(EVIL, EVIL)]),
        markup.definitions([(EVIL, EVIL)]),
        markup.details(EVIL, ""),
        Chart(EVIL, EVIL, [Line(EVIL, [1], [1]), Line(EVIL, [1], [2])]).draw(0)[0],
        Sheet("s", np.zeros([1, 8, 8, 3], np.uint8)).tile(0, EVIL),
    ],
)
def test_what_users_name_is_escaped(html: str) -> None:
    assert "<script" not in html and "<!--" not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"""="[^"]*'<""", html)


def test_ticks_are_round_and_enclose() -> None:
    assert ticks(0, 97.4) == [0, 20, 40, 60, 80, 100]
    assert ticks(8.3, 13.5) == [8, 10, 12, 14]
    assert ticks(0, 564, inside=True) == [0, 200, 400]
    for low, high in ((5.0, 5.0), (0.0, 0.0), (-3.0, -3.0), (1e-9, 2e-9), (-1e30, 1e30)):
        found = ticks(low, high)
        assert 2 <= len(found) <= 9
        assert found[0] <= low + 1e-9 * abs(low) and high - 1e-9 * abs(high) <= found[-1]
    assert write_ticks([0.0, 0.05, 0.1]) == ["0", "0.05", "0.10"]
    assert write_ticks([0, 1000.0]) == ["0", "1,000"]


def test_a_chart_puts_values_where_they_belong() -> None:
    line = Line("a", [0, 50, 100], [0.0, 0.5, 1.0], [(0, 0), (0.4, 0.6), (1, 1)])
    svg, data = Chart("a (%)", "step", [line], factor=100).draw(3)
    assert data["lines"][0]["y"] == [0.0, 0.5, 1.0] and data["factor"] == 100
    (path,) = re.findall(r'<path class="line s0" d="M([^"]*)"', svg)
    points = np.array([point.split() for point in path.split("L")], float)
    np.testing.assert_allclose(points[1], points[[0, 2]].mean(axis=0), atol=0.06)
    assert points[0, 1] > points[2, 1]  # upwards is up
    np.testing.assert_allclose(data["lines"][0]["at"], points[:, 0], atol=0.06)
    (low, high) = re.findall(r'class="interval s0" d="M[\d.]+ ([\d.]+)V([\d.]+)"', svg)[1]
    assert float(low) > points[1, 1] > float(high)
    assert 'data-chart="3"' in svg and svg.count('class="mark s0"') == 3


def test_a_logarithmic_axis() -> None:
    _, data = Chart("a", "labels", [Line("a", [10, 100, 1000], [1, 2, 3])], log_x=True).draw(0)
    left, middle, right = data["lines"][0]["at"]
    assert middle == pytest.approx((left + right) / 2, abs=0.1)


@pytest.mark.parametrize("count", [1, 5, 17])
def test_tiles_are_the_pictures(count: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, [count, 16, 16, 3]).astype(np.uint8)
    sheet = Sheet("s", pictures)
    kind, text = re.search(r"data:image/(\w+);base64,([^)]*)\)", sheet.css()).groups()
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        pixels = np.asarray(image)
    assert kind == "png" and pixels.shape == (16 * sheet.down, 16 * sheet.across, 3)
    for number in range(count):
        x, y = re.search(r"position:([\d.]+)% ([\d.]+)%", sheet.tile(number, "")).groups()
        # What CSS means by percents of a background that is larger than its box.
        left, top = (
            round(float(percent) / 100 * 16 * (parts - 1))
            for percent, parts in ((x, sheet.across), (y, sheet.down))
        )
        assert np.array_equal(pixels[top : top + 16, left : left + 16], pictures[number])


def test_many_photographs_stay_small() -> None:
    assert choose_side(355, 8) == 8
    assert choose_side(5000, 32) == choose_side(5000, 500) == 32
    assert choose_side(300, 28) == 32 and choose_side(300, 500) == SIDES[-1]
    noise = np.random.default_rng(0).integers(0, 256, [5000, 32, 32, 3]).astype(np.uint8)
    assert len(Sheet("s", noise).css()) < 4_200_000  # nothing is harder to compress


def features(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    kinds = np.arange(count) % 3
    return random.normal(size=[3, 20])[kinds] + 0.1 * random.normal(size=[count, 20]), kinds


def test_the_map_keeps_neighbors_and_is_the_same_each_time() -> None:
    points, kinds = features(90)
    placed, how = layout.lay_out(points, seed=1)
    assert placed.min() == 0 and placed.max() == 1000 and placed.dtype == np.int64
    far = ((placed[:, None] - placed[None]) ** 2).sum(axis=2) + 10**9 * np.eye(90, dtype=int)
    assert np.mean(kinds[far.argmin(axis=1)] == kinds) > 0.95
    again, _ = layout.lay_out(points, seed=1)
    assert np.array_equal(placed, again)
    # Lengths count for nothing: neighbors are by cosine.
    longer, _ = layout.lay_out(points * 4, seed=1)
    assert np.array_equal(placed, longer)
    assert how.startswith("PCA to 20 dimensions, then t-SNE by ") and "perplexity 29.7" in how


@pytest.mark.parametrize("points", [np.ones([9, 4]), np.zeros([9, 4]), np.eye(3)])
def test_a_map_of_nothing_to_tell_apart(points: np.ndarray) -> None:
    placed, how = layout.lay_out(points, seed=0)
    assert (placed == 500).all() and "nothing to tell apart" in how


def test_a_map_of_four() -> None:
    placed, _ = layout.lay_out(np.eye(4), seed=0)
    assert placed.shape == (4, 2) and len(np.unique(placed, axis=0)) == 4
