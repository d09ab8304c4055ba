"""Attention at any length, as a person uses it: zoom, sticky labels, tokens that tell what they look at.

Without Jupyter: the bundles as they are shipped, over made-up numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from js.harness.fixture import SCENES, long_attention, long_pattern
from js.harness.stage import Stage

pytestmark = pytest.mark.browser

LENGTH = 200
LARGEST = 4096  # pixels: what every browser gives a canvas, on every screen


@pytest.fixture
def stage(page: Page) -> Stage:
    stage = Stage(page)
    stage.show(long_attention(LENGTH))
    return stage


def grid(stage: Stage) -> Locator:
    return stage.page.get_by_test_id("grid-pattern")


def press(stage: Stage, *keys: str) -> None:
    grid(stage).focus()
    for key in keys:
        stage.page.keyboard.press(key)
    stage.settle()


def state(stage: Stage) -> dict[str, Any]:
    """The pattern's size, its window, where it stands, and the largest of its canvases."""
    return grid(stage).evaluate("""(grid) => {
      const whole = grid.querySelector("[data-testid=cells]").getBoundingClientRect();
      const canvases = [...grid.querySelectorAll("canvas")].flatMap(({ width, height }) => [width, height]);
      return {
        whole: Math.round(whole.width), window: grid.clientWidth, height: grid.clientHeight,
        left: grid.scrollLeft, top: grid.scrollTop, canvas: Math.max(...canvases),
      };
    }""")


def tinted(stage: Stage, side: str) -> dict[int, int]:
    """How strongly each token is tinted, in percent, by position."""
    return {
        int(place): int(strength)
        for place, strength in stage.page.evaluate(
            """(side) => [...document.querySelectorAll(".mi-token")]
              .map((node) => [node.dataset.index, parseInt(node.style.getPropertyValue(side) || "0")])
              .filter(([, strength]) => strength)""",
            side,
        )
    }


def expected(values: Any) -> dict[int, int]:
    return {place: 4 * round(25 * value**0.5) for place, value in enumerate(values) if value >= 0.005}


def test_a_long_pattern_is_seen_whole_and_zoomed_until_its_numbers_can_be_read(stage: Stage) -> None:
    before = state(stage)
    assert before["whole"] <= before["window"] and before["canvas"] <= LARGEST
    press(stage, *["+"] * 12)
    close = state(stage)
    assert close["whole"] == LENGTH * 56 + 6 and close["canvas"] <= LARGEST
    assert close["height"] <= before["height"] + 20
    stage.page.get_by_test_id("map-pattern").locator("xpath=..").get_by_test_id("zoom-fit").click()
    assert state(stage)["whole"] == before["whole"]


BRIGHT = """(canvas) => {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const bright = (x, y) => data[4 * (y * width + x)] > 110 && data[4 * (y * width + x) + 3] > 0;
  const places = [...Array(width).keys()];
  return [...Array(height).keys()].map((y) => places.filter((x) => bright(x, y)).length);
}"""


@pytest.mark.parametrize("length", [520, 604])
def test_a_head_that_looks_at_the_token_itself_has_a_line_that_is_seen(stage: Stage, length: int) -> None:
    view = long_attention(length)
    query, key = np.indices((length, length))
    shares = np.where(key == query, 0.6, 0.4 / length)
    view.pattern = replace(view.pattern, values=np.where(key <= query, shares, np.nan))
    stage.show(view)
    pixels = grid(stage).locator(".mi-cells").evaluate(BRIGHT)
    rim = 3
    assert min(pixels[rim:-rim]) >= 2, "one pixel beside an empty half is not seen"
    dots = stage.page.get_by_test_id("dots").last
    assert "furthest from 0" in dots.inner_text()
    press(stage, *["+"] * 4)
    assert dots.is_hidden() and max(grid(stage).locator(".mi-cells").evaluate(BRIGHT)) >= 2


def test_what_is_under_the_pointer_stays_there_when_the_wheel_zooms(stage: Stage) -> None:
    readout = stage.page.locator("[data-panel=pattern]").get_by_test_id("readout")
    box = grid(stage).get_by_test_id("cells").bounding_box()
    assert box is not None
    pitch = (box["width"] - 6) / LENGTH
    x, y = box["x"] + 3 + 40.5 * pitch, box["y"] + 3 + 120.5 * pitch
    stage.page.mouse.move(x, y)
    stage.settle()
    first = readout.inner_text()
    stage.page.keyboard.down("Control")
    for _ in range(6):
        stage.page.mouse.wheel(0, -30)
    stage.page.keyboard.up("Control")
    stage.settle()
    assert state(stage)["whole"] > 2 * box["width"]
    for away in (1, 0):
        stage.page.mouse.move(x + away, y)
    stage.settle()
    assert readout.inner_text() == first
    close = state(stage)
    stage.page.mouse.wheel(0, 40)  # the wheel alone scrolls
    grid(stage).evaluate(
        "(grid, top) => new Promise((done) => grid.scrollTop > top ? done() : grid.onscroll = done)", close["top"]
    )
    assert state(stage)["whole"] == close["whole"]


def test_labels_stay_in_sight_while_the_map_scrolls(stage: Stage) -> None:
    press(stage, *["+"] * 8, "Control+End")
    assert state(stage)["left"] > 0 and state(stage)["top"] > 0
    at = grid(stage).evaluate("""(grid) => {
      const box = grid.getBoundingClientRect();
      const place = (name) => {
        const one = grid.querySelector(name).getBoundingClientRect();
        return [one.left - box.left, one.top - box.top].map(Math.round);
      };
      return { rows: place(".mi-row-labels")[0], cols: place(".mi-col-labels")[1], cells: place(".mi-window") };
    }""")
    assert (at["rows"], at["cols"]) == (0, 0)
    assert min(at["cells"]) > 0
    last = stage.page.locator("[data-panel=pattern]").get_by_test_id("readout")
    box, size = grid(stage).get_by_test_id("cells").bounding_box(), state(stage)["whole"] - 6
    assert box is not None
    pitch = size / LENGTH
    stage.page.mouse.move(box["x"] + 3 + (LENGTH - 0.5) * pitch, box["y"] + 3 + (LENGTH - 0.5) * pitch)
    stage.settle()
    assert last.inner_text().count(stage.get("tokens")[-1]["text"]) == 2


def test_a_token_shows_what_it_looks_at_and_what_looks_at_it(stage: Stage) -> None:
    values, place = long_pattern(LENGTH), 90
    stage.page.locator(".mi-token").nth(place).hover()
    stage.settle()
    assert tinted(stage, "--to") == expected(values[place, : place + 1])
    below = {place + 1 + later: tint for later, tint in expected(values[place + 1 :, place]).items()}
    assert tinted(stage, "--from") == below and below
    words = stage.page.get_by_test_id("looks").inner_text()
    assert f"({place}) looks at BOS" in words and f"({place}) is looked at by" in words


def test_a_click_holds_a_token_and_escape_or_another_click_lets_go(stage: Stage) -> None:
    tokens = stage.page.locator(".mi-token")
    tokens.nth(4).click()
    tokens.nth(30).hover()
    stage.settle()
    held = expected(long_pattern(LENGTH)[4, :5])
    assert tinted(stage, "--to") == held
    assert tokens.nth(4).get_attribute("aria-selected") == "true"
    press(stage, "Escape")
    assert tokens.nth(4).get_attribute("aria-selected") == "false"
    assert tinted(stage, "--to") != held
    tokens.nth(4).click()
    tokens.nth(4).click()
    assert tokens.nth(4).get_attribute("aria-selected") == "false"


def test_the_keyboard_reaches_every_token_with_one_tab_stop(stage: Stage) -> None:
    strip = stage.page.get_by_test_id("tokens")
    assert strip.evaluate("(strip) => strip.tabIndex") == 0
    assert strip.locator("[tabindex]").count() == 0
    strip.focus()
    for key in ("End", "Enter"):
        stage.page.keyboard.press(key)
    stage.settle()
    last = strip.locator(".mi-token").last
    assert strip.get_attribute("aria-activedescendant") == last.get_attribute("id")
    assert last.get_attribute("aria-selected") == "true"
    assert tinted(stage, "--to") == expected(long_pattern(LENGTH)[-1])
    stage.page.keyboard.press("Escape")
    assert last.get_attribute("aria-selected") == "false"


def test_a_row_of_the_pattern_says_the_same_among_the_tokens(stage: Stage) -> None:
    press(stage, "Control+Home", *["ArrowDown"] * 7)
    assert tinted(stage, "--to") == expected(long_pattern(LENGTH)[7, :8])
    press(stage, "Enter", "ArrowUp")
    assert tinted(stage, "--to") == expected(long_pattern(LENGTH)[7, :8])


def test_tokens_that_were_written_come_one_by_one_and_go(page: Page) -> None:
    stage = Stage(page)
    stage.show(SCENES["attention-compared"])
    tokens = page.locator(".mi-token")
    assert tokens.count() == 18
    first = tokens.nth(15).element_handle()
    more = [*stage.get("continuation")["tokens"], {"index": 18, "id": 1, "text": "x", "kind": "text", "bos": False}]
    stage.put(continuation={"tokens": more, "whose": "written by the model as it is"})
    assert tokens.count() == 19
    assert first.evaluate("(node) => node.isConnected")
    assert "written by the model as it is" in page.get_by_test_id("tokens").inner_text()
    stage.put(continuation={})
    assert tokens.count() == 15 and "written" not in page.get_by_test_id("tokens").inner_text()


def test_two_fingers_zoom_the_map_and_not_the_page(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, has_touch=True)
    stage = Stage(page)
    stage.show(long_attention(LENGTH))
    box, before = grid(stage).get_by_test_id("marks").bounding_box(), state(stage)["whole"]
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, gap in (("touchStart", 20), *(("touchMove", gap) for gap in range(24, 90, 4)), ("touchEnd", 0)):
        points = [{"x": x - gap, "y": y, "id": 1}, {"x": x + gap, "y": y, "id": 2}] if gap else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    stage.settle()
    assert state(stage)["whole"] > 2 * before
    assert page.evaluate("visualViewport.scale") == 1
    page.close()
