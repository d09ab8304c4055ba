"""Who can use the views: contrast, sizes, narrow and enlarged pages, motion, and what axe-core finds, in both themes.

Without Jupyter: the bundles as they are shipped, over made-up numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from js.harness.fixture import SCENES, lens, result
from js.harness.stage import Stage

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ["attribution-result", "lens", "attention", "grid", "workbench-result"]
THEMES = ["light", "dark"]
SCROLLED = ("div.mi-grid", "div.mi-strip", "pre")  # by fingers, rather than hit


@pytest.fixture
def stage(page: Page) -> Stage:
    page.set_viewport_size({"width": 1280, "height": 720})
    return Stage(page)


def look(stage: Stage, question: str) -> Any:
    """Ask js/harness/sight.js about the page as it is now."""
    return stage.page.evaluate(f"window.sight.{question}()")


def findings(stage: Stage) -> list[str]:
    """What axe-core has against the view, of its two worst kinds, with the elements it means."""
    stage.page.evaluate(AXE.read_text("utf-8"))
    said = stage.page.evaluate("axe.run('.mi-root', {resultTypes: ['violations']})")
    worst = [finding for finding in said["violations"] if finding["impact"] in ("serious", "critical")]
    return [f"{finding['id']}: {node['html'][:120]}" for finding in worst for node in finding["nodes"]]


def faint(stage: Stage) -> list[Any]:
    """Words under 4.5 : 1 and controls under 3 : 1 (WCAG 2.2 AA), from the computed styles."""
    words, controls = look(stage, "words"), look(stage, "controls")
    assert len(words) > 5
    seen = [(word, 4.5) for word in words] + [(control, 3) for control in controls]
    return [one for one, least in seen if one["contrast"] < least and not one["disabled"]]


def small(stage: Stage, least: int = 24) -> list[Any]:
    """Controls that are narrower or lower than so many pixels."""
    return [control for control in look(stage, "controls") if min(control["width"], control["height"]) < least]


def width(stage: Stage) -> int:
    """How wide the page is, with what hangs over its edge."""
    wide: int = stage.page.evaluate("document.documentElement.scrollWidth")
    return wide


@pytest.mark.parametrize("wide", [1280, 390])
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("scene", SCENES)
def test_everybody_can_use_a_view_in_any_state(stage: Stage, scene: str, theme: str, wide: int) -> None:
    stage.page.set_viewport_size({"width": wide, "height": 900})
    stage.show(SCENES[scene], theme=theme)
    assert findings(stage) == []
    assert faint(stage) == []
    assert small(stage) == []
    assert width(stage) == wide


@pytest.mark.parametrize("scene", SCENES)
def test_a_page_of_1280_pixels_at_400_percent_does_not_scroll_sideways(stage: Stage, scene: str) -> None:
    stage.page.set_viewport_size({"width": 320, "height": 225})
    stage.show(SCENES[scene])
    assert width(stage) == 320


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_moves_where_motion_is_reduced(stage: Stage, scene: str) -> None:
    stage.page.emulate_media(reduced_motion="reduce")
    stage.show(SCENES[scene])
    assert look(stage, "motion") == []
    assert stage.page.evaluate("document.getAnimations().length") == 0


def test_a_run_moves_where_motion_is_welcome(stage: Stage) -> None:
    stage.show(SCENES["attribution-running"])
    assert len(look(stage, "motion")) > 0


@pytest.mark.parametrize("key", ["t", "f", "?"])
@pytest.mark.parametrize("scene", VIEWS)
def test_axe_finds_nothing_serious_in_what_a_key_opens(stage: Stage, scene: str, key: str) -> None:
    stage.show(SCENES[scene])
    stage.page.get_by_role("grid").first.press(key)
    assert findings(stage) == []
    assert small(stage) == []


def test_axe_would_find_something(stage: Stage) -> None:
    stage.show(SCENES["attention"])
    stage.page.evaluate("document.querySelector('[data-testid=remove-pick]').removeAttribute('aria-label')")
    stage.page.evaluate("document.querySelector('[data-testid=remove-pick]').textContent = ''")
    assert [finding.split(":")[0] for finding in findings(stage)] == ["button-name"]


LETTERS = """() => {
    const write = CanvasRenderingContext2D.prototype.fillText;
    window.letters = new Set();
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        if (text.trim()) window.letters.add(parseFloat(this.font.match(/[\\d.]+px/)[0]) * this.canvas.currentCSSZoom);
        return write.call(this, text, ...place);
    };
}"""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("scene", VIEWS)
def test_a_presentation_is_read_from_the_last_row(stage: Stage, scene: str, theme: str) -> None:
    """Every word on the page and on a map is 18 px or more, black on white or the reverse, and nothing hangs over."""
    stage.show(SCENES[scene], theme=theme)
    stage.page.evaluate(LETTERS)
    stage.page.get_by_test_id("presentation").click()
    expect(stage.page.get_by_test_id("presentation")).to_have_attribute("aria-pressed", "true")
    stage.settle()
    assert stage.page.evaluate("Math.min(...window.letters)") >= 18
    assert [word for word in look(stage, "words") if word["size"] < 18] == []
    assert faint(stage) == []
    assert width(stage) == 1280
    assert findings(stage) == []
    stage.page.get_by_test_id("keys-button").click()
    box = stage.page.get_by_test_id("keys").bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 720


def test_python_says_how_a_view_begins_and_a_person_how_it_goes_on(stage: Stage) -> None:
    stage.show(SCENES["grid"])
    root, button = stage.page.get_by_test_id("mi-view"), stage.page.get_by_test_id("presentation")
    expect(root).to_have_attribute("data-presentation", "false")
    stage.put(presentation=True)
    expect(root).to_have_attribute("data-presentation", "true")
    button.click()
    expect(root).to_have_attribute("data-presentation", "false")
    assert stage.get("presentation") is True  # the trait is Python's


def test_cells_are_hit_where_they_are_seen_in_a_presentation(stage: Stage) -> None:
    stage.show(SCENES["attribution-empty"])
    stage.page.get_by_test_id("presentation").click()
    stage.settle()
    for row, col in ((0, 0), (23, 3), (29, 8)):
        box = stage.page.get_by_test_id("grid-heads").get_by_test_id("cells").bounding_box()
        assert box is not None
        stage.page.mouse.wheel(0, box["y"] + box["height"] * row / 30 - 300)
        stage.settle()
        box = stage.page.get_by_test_id("grid-heads").get_by_test_id("cells").bounding_box()
        assert box is not None
        stage.page.mouse.click(box["x"] + box["width"] * (col + 0.5) / 9, box["y"] + box["height"] * (row + 0.5) / 30)
        assert stage.get("picks") == [[0, row, col]]


HEBREW = ["<|endoftext|>", "·שלום", "·עולם", "·abc", "‹D7 A9›", "·(מה)", "·נשמע", "?"]
PLACES = """() => [...document.querySelectorAll(".mi-root :is(div, canvas, button, p, bdi)")].map((one) => {
    const {left, top, width, height} = one.getBoundingClientRect();
    return [left, top, width, height].map(Math.round).join(' ');
})"""


def test_a_page_from_right_to_left_leaves_a_view_as_it_is(stage: Stage) -> None:
    view = lens(HEBREW, result={**result("שלום עולם, מה נשמע?"), "tray": []})
    stage.show(view)
    here = stage.page.evaluate(PLACES)
    stage.show(view, dir="rtl")
    assert stage.page.evaluate(PLACES) == here
    assert width(stage) == 1280


def test_text_from_right_to_left_stays_in_its_piece(stage: Stage) -> None:
    stage.show(lens(HEBREW, result={**result("שלום עולם, מה נשמע?"), "tray": []}), dir="rtl")
    pieces = stage.page.get_by_test_id("tokens").locator("[data-index]")
    lefts = pieces.evaluate_all("(all) => all.map((piece) => piece.getBoundingClientRect().left)")
    assert lefts == sorted(lefts)
    directions = pieces.locator("bdi").evaluate_all("(all) => all.map((one) => getComputedStyle(one).direction)")
    assert directions == ["ltr", "rtl", "rtl", "ltr", "ltr", "rtl", "rtl", "ltr"]
    written = stage.page.locator(".mi-continuation bdi").last
    assert written.evaluate("(one) => [getComputedStyle(one).direction, getComputedStyle(one).display]") == [
        "rtl",
        "block",
    ]


def test_fingers_have_larger_targets_than_a_mouse(browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    stage = Stage(context.new_page())
    for scene in SCENES:
        stage.show(SCENES[scene])
        assert [one for one in small(stage, 44) if not one["name"].startswith(SCROLLED)] == []
        assert width(stage) == 390
    context.close()


def test_the_page_s_own_high_contrast_is_honoured(stage: Stage) -> None:
    stage.page.emulate_media(forced_colors="active")
    for scene in VIEWS:
        stage.show(SCENES[scene])
        assert faint(stage) == []
