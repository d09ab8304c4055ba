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
STATES = [name for name in SCENES if name not in VIEWS]
THEMES = ["light", "dark"]


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


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("scene", VIEWS)
def test_axe_finds_nothing_serious_in_a_view(stage: Stage, scene: str, theme: str, width: int) -> None:
    stage.page.set_viewport_size({"width": width, "height": 900})
    stage.show(SCENES[scene], theme=theme)
    assert findings(stage) == []


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("scene", STATES)
def test_axe_finds_nothing_serious_in_any_state(stage: Stage, scene: str, theme: str) -> None:
    stage.show(SCENES[scene], theme=theme)
    assert findings(stage) == []


@pytest.mark.parametrize("key", ["t", "f", "?"])
@pytest.mark.parametrize("scene", VIEWS)
def test_axe_finds_nothing_serious_in_what_a_key_opens(stage: Stage, scene: str, key: str) -> None:
    stage.show(SCENES[scene])
    stage.page.get_by_role("grid").first.press(key)
    assert findings(stage) == []
    assert [control for control in look(stage, "controls") if min(control["width"], control["height"]) < 24] == []


def test_axe_would_find_something(stage: Stage) -> None:
    stage.show(SCENES["attention"])
    stage.page.evaluate("document.querySelector('[data-testid=remove-pick]').removeAttribute('aria-label')")
    stage.page.evaluate("document.querySelector('[data-testid=remove-pick]').textContent = ''")
    assert [finding.split(":")[0] for finding in findings(stage)] == ["button-name"]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("scene", SCENES)
def test_words_and_controls_stand_out(stage: Stage, scene: str, theme: str) -> None:
    stage.show(SCENES[scene], theme=theme)
    words, controls = look(stage, "words"), look(stage, "controls")
    assert len(words) > 10
    assert [word for word in words if word["contrast"] < 4.5 and not word["disabled"]] == []
    assert [control for control in controls if control["contrast"] < 3 and not control["disabled"]] == []


@pytest.mark.parametrize("scene", SCENES)
def test_every_control_can_be_hit(stage: Stage, scene: str) -> None:
    stage.page.set_viewport_size({"width": 390, "height": 844})
    stage.show(SCENES[scene])
    assert [control for control in look(stage, "controls") if min(control["width"], control["height"]) < 24] == []


@pytest.mark.parametrize("width", [390, 320], ids=["a phone", "1280 px at 400 %"])
@pytest.mark.parametrize("scene", SCENES)
def test_the_page_never_scrolls_sideways(stage: Stage, scene: str, width: int) -> None:
    stage.page.set_viewport_size({"width": width, "height": 700})
    stage.show(SCENES[scene])
    assert stage.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_moves_where_motion_is_reduced(stage: Stage, scene: str) -> None:
    stage.page.emulate_media(reduced_motion="reduce")
    stage.show(SCENES[scene])
    assert look(stage, "motion") == []
    assert stage.page.evaluate("document.getAnimations().length") == 0


def test_a_run_moves_where_motion_is_welcome(stage: Stage) -> None:
    stage.show(SCENES["attribution-running"])
    assert len(look(stage, "motion")) > 0


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
    assert [word for word in look(stage, "words") if word["contrast"] < 4.5 and not word["disabled"]] == []
    assert stage.page.evaluate("document.documentElement.scrollWidth") == 1280
    assert findings(stage) == []


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
    assert stage.page.evaluate("document.documentElement.scrollWidth") == 1280


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
        small = [one for one in look(stage, "controls") if min(one["width"], one["height"]) < 44]
        assert [one for one in small if not one["name"].startswith(("div.mi-grid", "div.mi-strip", "pre"))] == []
        assert stage.page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


def test_the_page_s_own_high_contrast_is_honoured(stage: Stage) -> None:
    stage.page.emulate_media(forced_colors="active")
    for scene in VIEWS:
        stage.show(SCENES[scene])
        assert [word for word in look(stage, "words") if word["contrast"] < 4.5 and not word["disabled"]] == []
        assert [one for one in look(stage, "controls") if one["contrast"] < 3 and not one["disabled"]] == []
