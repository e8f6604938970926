"""The report opened and clicked in a headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.browser import Browser, find_browser
from tests.report.conftest import data_of

WIDTHS = (375, 1280)
INTO_VIEW = "scrollIntoView({block: 'center', behavior: 'instant'})"

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium: apt-get install chromium-headless-shell"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM) as browser:
        yield browser


@pytest.fixture(params=WIDTHS)
def opened(request, browser: Browser, page_of_pictures: Path) -> Browser:
    browser.events.clear()
    browser.open(page_of_pictures, width=request.param, dark=request.param == WIDTHS[0])
    return browser


def apart(drawn: dict[str, Any], count: int) -> list[int]:
    """Returns points of the map that no other one is near to."""
    places = np.array([drawn["x"], drawn["y"]]).T
    far = ((places[:, None] - places[None]) ** 2).sum(axis=2) + 10**9 * np.eye(len(places))
    return np.argsort(-far.min(axis=1))[:count].tolist()


def place_of(browser: Browser, page: Path, row: int) -> tuple[float, float]:
    """Returns where a point of the map lies in the window."""
    browser.run(f"document.getElementById('points').{INTO_VIEW}")
    left, top, side = browser.run(
        "(({left, top, width}) => [left, top, width])"
        "(document.getElementById('points').getBoundingClientRect())"
    )
    drawn = data_of(page)["map"]
    scale = (side - 28) / 1000
    x, y = ((drawn[axis][row] - 500) * scale + side / 2 for axis in "xy")
    return left + x, top + y


def test_it_opens_without_errors_or_requests(opened: Browser) -> None:
    opened.run("new Promise(done => setTimeout(done, 200))")
    told = [event for event in opened.events if event["method"].startswith(("Log.", "Runtime."))]
    told = [event for event in told if "executionContext" not in event["method"]]
    assert told == []
    requests = [
        event["params"]["request"]["url"]
        for event in opened.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith("data:")] == [opened.run("location.href")]
    assert opened.run("document.title").endswith(": SimCLR report")  # no name was run


def test_the_page_is_as_wide_as_the_window(opened: Browser) -> None:
    wide = opened.run("document.querySelectorAll('details').forEach(d => d.open = true), 0")
    wide = opened.run("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] == wide[1] and wide[0] in WIDTHS


def test_a_point_shows_its_picture_and_its_label(opened: Browser, page_of_pictures: Path) -> None:
    drawn = data_of(page_of_pictures)["map"]
    for row in apart(drawn, 2):
        x, y = place_of(opened, page_of_pictures, row)
        if opened.run("innerWidth") == WIDTHS[0]:
            opened.tap(x, y)
        else:
            opened.point(x, y)
        shown = opened.run("document.querySelector('#picked .name').textContent")
        assert shown == drawn["names"][row]
        label = opened.run("document.querySelector('#picked .label').textContent")
        assert label == f"label: {drawn['classes'][drawn['label'][row]]}"
        style = "getComputedStyle(document.querySelector('#picked > .tile'))"
        assert opened.run(f"{style}.backgroundImage").startswith('url("data:image/')
        column = row % drawn["sheet"]["across"]
        percent = 100 * column / (drawn["sheet"]["across"] - 1)
        found = opened.run(f"{style}.backgroundPositionX")
        assert float(found.rstrip("%")) == pytest.approx(percent, abs=0.01)
        assert opened.run("document.querySelectorAll('#picked .near .tile').length") == 5


def test_keys_go_from_point_to_point(opened: Browser) -> None:
    opened.run("document.getElementById('points').focus()")
    names = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp"):
        opened.send("Input.dispatchKeyEvent", type="keyDown", key=key)
        names.add(opened.run("document.querySelector('#picked .name').textContent"))
    assert len(names) >= 2


def painted(browser: Browser) -> int:
    """Returns how many pixels of the map are not empty."""
    return browser.run(
        "(() => { const map = document.getElementById('points');"
        "const {data} = map.getContext('2d').getImageData(0, 0, map.width, map.height);"
        "let count = 0; for (let i = 3; i < data.length; i += 4) count += data[i] > 0;"
        "return count; })()"
    )


def test_classes_are_switched_off_and_on(opened: Browser, page_of_pictures: Path) -> None:
    drawn = data_of(page_of_pictures)["map"]
    before = painted(opened)
    button = "document.querySelector('.classes button')"
    label = int(opened.run(f"{button}.value"))
    opened.run(f"{button}.click()")
    share = 1 - drawn["label"].count(label) / len(drawn["label"])
    assert opened.run(f"{button}.getAttribute('aria-pressed')") == "false"
    assert painted(opened) / before == pytest.approx(share, abs=0.2)
    x, y = place_of(opened, page_of_pictures, drawn["label"].index(label))
    opened.point(x, y)
    assert drawn["names"][drawn["label"].index(label)] not in opened.run("picked.textContent")
    opened.run("document.querySelector('button.all[value=\"0\"]').click()")
    assert painted(opened) == 0
    opened.run("document.querySelector('button.all[value=\"1\"]').click()")
    assert painted(opened) == before
    opened.run("document.getElementById('wrong').click()")
    wrong = sum(label != vote for label, vote in zip(drawn["label"], drawn["vote"]))
    assert (painted(opened) > 0) == (wrong > 0) and painted(opened) < before


def test_zoom_and_back(opened: Browser) -> None:
    before = opened.run("document.getElementById('points').toDataURL()")
    opened.run("document.querySelector('.zoom button').click()")
    assert opened.run("document.getElementById('points').toDataURL()") != before
    opened.run("[...document.querySelectorAll('.zoom button')].at(-1).click()")
    assert opened.run("document.getElementById('points').toDataURL()") == before


def test_a_curve_shows_its_values(opened: Browser, page_of_pictures: Path) -> None:
    chart = data_of(page_of_pictures)["charts"][0]
    line = chart["lines"][0]
    chosen = len(line["x"]) - 1
    opened.run(f"document.querySelector('svg[data-chart]').{INTO_VIEW}")
    left, top, width, height = opened.run(
        "(({left, top, width, height}) => [left, top, width, height])"
        "(document.querySelector('svg[data-chart]').getBoundingClientRect())"
    )
    opened.point(left + line["at"][chosen] * width / 340, top + height / 2)
    tip = "document.querySelector('.chart .value')"
    step, value = opened.run(f"{tip}.textContent").split("\n")
    assert step == f"step {line['x'][chosen]}"
    assert float(value) == pytest.approx(line["y"][chosen] * chart["factor"], rel=1e-3)
    inside = opened.run(f"{tip}.getBoundingClientRect().right <= innerWidth")
    assert inside and not opened.run(f"{tip}.hidden")
    opened.point(1, 1)
    assert opened.run(f"{tip}.hidden")


def test_a_page_without_labels_opens_too(browser: Browser, page_without_labels: Path) -> None:
    browser.events.clear()
    browser.open(page_without_labels, width=WIDTHS[0])
    drawn = data_of(page_without_labels)["map"]
    (row,) = apart(drawn, 1)
    browser.tap(*place_of(browser, page_without_labels, row))
    shown = browser.run("document.querySelector('#picked .name').textContent")
    assert shown == drawn["names"][row]
    assert browser.run("document.querySelector('#picked .label')") is None
    assert not [event for event in browser.events if event["method"].startswith("Runtime.exc")]
