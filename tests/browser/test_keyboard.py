"""A view without a mouse and without eyes: every deed has a key, the focus is seen everywhere, changes are spoken."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from js.harness.fixture import SCENES, attribution, result
from js.harness.stage import Stage

pytestmark = pytest.mark.browser

VIEWS = ["attribution-result", "lens", "attention", "grid", "workbench-result"]
FOCUSED = """() => {
    const focused = document.activeElement;
    return focused.closest(".mi-root") && (focused.dataset.testid ?? focused.tagName);
}"""


@pytest.fixture
def stage(page: Page) -> Stage:
    page.set_viewport_size({"width": 1280, "height": 900})
    return Stage(page)


@pytest.fixture
def heads(stage: Stage) -> Locator:
    """The grid of heads, with the focus on its first cell and nothing picked."""
    stage.show(SCENES["attribution-empty"])
    grid = stage.page.get_by_test_id("grid-heads")
    grid.focus()
    return grid


def press(stage: Stage, *keys: str) -> list[list[int]]:
    """Press keys one after the other; returns what is picked then."""
    for key in keys:
        stage.page.keyboard.press(key)
    picks: list[list[int]] = stage.get("picks")
    return picks


def spoken(grid: Locator) -> dict[str, Any]:
    """What the browser tells a screen reader of the grid's active cell."""
    client = grid.page.context.new_cdp_session(grid.page)
    nodes = client.send("Accessibility.getFullAXTree")["nodes"]
    by_id = {node["nodeId"]: node for node in nodes}
    focused = next(node for node in nodes if property_of(node, "focused") and node["role"]["value"] == "grid")
    related = next(entry for entry in focused["properties"] if entry["name"] == "activedescendant")
    backend = related["value"]["relatedNodes"][0]["backendDOMNodeId"]
    cell = next(node for node in by_id.values() if node.get("backendDOMNodeId") == backend)
    return {"role": cell["role"]["value"], "name": cell["name"]["value"], "selected": property_of(cell, "selected")}


def property_of(node: dict[str, Any], name: str) -> Any:
    return next((entry["value"].get("value") for entry in node.get("properties", []) if entry["name"] == name), None)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scene", VIEWS)
def test_tab_passes_everything_once_and_is_seen_everywhere(stage: Stage, scene: str, theme: str) -> None:
    stage.show(SCENES[scene], theme=theme)
    stage.page.evaluate(
        "document.querySelector('#here').before(Object.assign(document.createElement('button'), {id: 'before'}))"
    )
    stage.page.focus("#before")
    stops, dim = [], []
    while stops == [] or stops[-1] is not None:
        stage.page.keyboard.press("Tab")
        stops.append(stage.page.evaluate(FOCUSED))
        ring = stage.page.evaluate("window.sight.focus()")
        if stops[-1] and (ring["width"] < 2 or ring["contrast"] < 3):
            dim.append(ring)
        assert len(stops) < 100, f"the focus does not come out: {stops[-5:]}"
    assert dim == []
    grids = [stop for stop in stops if stop and stop.startswith("grid-")]
    assert len(grids) == len(set(grids)) == stage.page.locator("[role=grid]:visible").count() > 0


def test_arrows_and_their_larger_sisters_move(stage: Stage, heads: Locator) -> None:
    for keys, where in (
        ([], "layer 0, head 0"),
        (["ArrowRight", "ArrowDown"], "layer 1, head 1"),
        (["End"], "layer 1, head 8"),
        (["PageDown"], "layer 6, head 8"),
        (["Home", "PageUp", "PageUp"], "layer 0, head 0"),
        (["Control+End"], "layer 29, head 8"),
        (["ArrowDown", "ArrowRight"], "layer 29, head 8"),
        (["Control+Home"], "layer 0, head 0"),
    ):
        press(stage, *keys)
        assert spoken(heads)["name"].startswith(f"{where}, ")
    assert stage.get("picks") == []


def test_a_screen_reader_hears_the_cell_its_rank_and_whether_it_is_picked(stage: Stage, heads: Locator) -> None:
    assert heads.get_attribute("aria-rowcount") == "30"
    assert heads.get_attribute("aria-colcount") == "9"
    press(stage, *["ArrowDown"] * 23, *["ArrowRight"] * 3, "Enter")
    said = spoken(heads)
    assert said == {
        "role": "gridcell",
        "name": "layer 23, head 3, +2.28 logits, rank 1 of 270, picked",
        "selected": True,
    }
    row = heads.get_by_role("row")
    assert (row.get_attribute("aria-rowindex"), row.get_by_role("gridcell").get_attribute("aria-colindex")) == (
        "24",
        "4",
    )


def test_every_way_to_pick_has_a_key(stage: Stage, heads: Locator) -> None:
    assert press(stage, "Enter") == [[0, 0, 0]]
    assert press(stage, "Space") == []
    assert press(stage, "Enter", "ArrowRight", "Shift+Enter") == [[0, 0, 0], [0, 0, 1]]
    assert press(stage, "Shift+Enter") == [[0, 0, 0]]
    assert press(stage, "Shift+ArrowDown") == [[0, 0, 1], [0, 1, 1]]
    assert press(stage, "Shift+Space") == [[0, row, col] for row in (0, 1) for col in range(9)]
    assert press(stage, "ArrowLeft", "Control+Space") == [[0, row, 0] for row in range(30)]
    assert press(stage, "Escape") == []


def test_the_table_has_the_largest_numbers_and_picks_them(stage: Stage, heads: Locator) -> None:
    press(stage, "t")
    table = stage.page.get_by_test_id("ranks").first
    expect(table).to_be_focused()
    expect(table.get_by_role("caption")).to_have_text(
        "Attention heads, exact denoising: the 50 largest of 270, whatever their sign."
    )
    assert table.get_by_role("columnheader").all_inner_texts() == ["rank", "layer", "head", "logits"]
    rows = table.locator("tbody tr")
    assert rows.count() == 50
    assert rows.nth(0).get_by_role("rowheader").all_inner_texts() == ["23", "3"]
    assert rows.nth(0).inner_text().split() == ["1", "23", "3", "+2.28", "Pick"]
    press(stage, "Tab")
    expect(rows.nth(0).get_by_role("button", name="Pick L23H3")).to_be_focused()
    assert press(stage, "Enter") == [[0, 23, 3]]
    expect(rows.nth(0).get_by_role("button", name="Pick L23H3")).to_have_attribute("aria-pressed", "true")
    assert press(stage, "Tab", "Enter") == [[0, 15, 3], [0, 23, 3]]
    press(stage, "Escape")
    expect(table).to_be_hidden()
    expect(heads).to_be_focused()
    assert len(stage.get("picks")) == 2  # Escape closed the table and no more


def test_a_button_in_the_table_keeps_the_focus_while_numbers_come(stage: Stage, heads: Locator) -> None:
    press(stage, "t", "Tab", "Tab")
    second = stage.page.get_by_role("button", name="Pick L15H3")
    expect(second).to_be_focused()
    panels = SCENES["attribution-empty"].get_state("panels")["panels"]
    values = bytearray(panels[0]["values"]["data"])
    values[0:4] = b"\x00\x00\x20\x41"  # layer 0, head 0 is 10
    stage.put(panels=[{**panels[0], "values": {**panels[0]["values"], "data": bytes(values)}}, panels[1]])
    expect(stage.page.get_by_test_id("ranks").first.locator("tbody th").first).to_have_text("0")
    expect(second).to_be_focused()


def test_a_map_fills_the_page_and_goes_back_with_the_focus_where_it_was(stage: Stage, heads: Locator) -> None:
    press(stage, "ArrowDown", "Enter", "f")
    figure = stage.page.locator("figure").first
    assert figure.bounding_box() == {"x": 0, "y": 0, "width": 1280, "height": 900}
    expect(heads).to_be_focused()
    press(stage, "Shift+Tab")
    expect(stage.page.get_by_role("button", name="Back to its place")).to_be_focused()
    assert press(stage, "Escape") == [[0, 1, 0]]  # Escape goes back and drops no picks
    expect(heads).to_be_focused()
    assert figure.bounding_box()["width"] < 700
    press(stage, "f", "t", "Escape")  # from the table to the map, which keeps the page
    expect(heads).to_be_focused()
    expect(figure).to_have_css("position", "fixed")
    assert press(stage, "Escape") == [[0, 1, 0]]
    stage.page.get_by_test_id("maximise").nth(1).click()
    expect(stage.page.locator("figure").nth(1)).to_have_css("position", "fixed")
    press(stage, "Enter")
    expect(stage.page.locator("figure").nth(1)).not_to_have_css("position", "fixed")


def test_whoever_tabs_out_of_a_map_that_fills_the_page_sees_the_page(stage: Stage, heads: Locator) -> None:
    press(stage, "f")
    figure = stage.page.locator("figure").first
    expect(figure).to_have_css("position", "fixed")
    press(stage, "Tab")
    expect(figure).not_to_have_css("position", "fixed")
    assert stage.page.evaluate("document.activeElement.getBoundingClientRect().width") > 0


def test_the_keys_are_listed_on_request(stage: Stage, heads: Locator) -> None:
    keys = stage.page.get_by_test_id("keys")
    expect(keys).to_be_hidden()
    press(stage, "?")
    expect(keys).to_be_focused()
    expect(keys).to_contain_text("pick the column")
    press(stage, "Escape")
    expect(keys).to_be_hidden()
    expect(heads).to_be_focused()
    stage.page.get_by_test_id("keys-button").click()
    expect(keys).to_be_visible()


def test_letters_typed_into_a_field_are_no_commands(stage: Stage) -> None:
    stage.show(SCENES["attribution-add"])
    stage.page.get_by_test_id("strength-number").focus()
    press(stage, "?", "t", "f")
    expect(stage.page.get_by_test_id("keys")).to_be_hidden()
    expect(stage.page.get_by_test_id("ranks").first).to_be_hidden()


def test_picks_are_counted_aloud_once_they_settle(stage: Stage, heads: Locator) -> None:
    said = stage.page.get_by_test_id("live").locator("p")
    press(stage, "Shift+ArrowRight", "Shift+ArrowDown")
    expect(said).to_have_text(["4 cells picked: L0H0, L0H1, L1H0, L1H1."])
    press(stage, "Shift+ArrowDown")
    expect(said.last).to_have_text("6 cells picked.")
    press(stage, "Escape")
    expect(said.last).to_have_text("Nothing picked.")


def test_a_run_is_spoken_at_its_start_now_and_then_and_by_its_numbers(stage: Stage) -> None:
    stage.page.clock.install()
    stage.show(attribution(picks=[(0, 15, 3)]))
    said = stage.page.get_by_test_id("live").locator("p")
    stage.page.get_by_test_id("run").press("Enter")
    expect(said).to_have_text(["Running."])
    for done in range(1, 51):  # in 12.5 seconds, and those of the test itself
        stage.page.clock.run_for(250)
        stage.put(status="running", progress={"done": done, "total": 100, "eta": 8.0, "label": "controls"})
    expect(said).to_have_text(["Running.", re.compile(r"^\d\d % done, about 8 s left.$")])
    stage.put(status="idle", progress={}, result=result("text", singles=False))
    expect(said.nth(2)).to_have_text("Done.")
    expect(said.last).to_contain_text("4.92 before, 1.51 after, difference −3.41.")


def test_a_stop_is_spoken(stage: Stage) -> None:
    stage.show(SCENES["attribution-running"])
    stage.put(status="stopped", progress={})
    expect(stage.page.get_by_test_id("live").locator("p").last).to_have_text("Stopped.")


def test_enter_asks_the_question_that_is_typed_and_asks_it_once(stage: Stage) -> None:
    stage.show(SCENES["workbench"])
    answer = stage.page.get_by_test_id("question-answer")
    answer.press("Enter")
    assert stage.sent == []
    answer.fill(" Anna")
    answer.press("Enter")
    (asked,) = stage.sent
    assert asked["type"] == "ask" and asked["answer"] == " Anna"
