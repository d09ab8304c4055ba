"""The Workbench's own parts, its tabs and its question, as a person uses them.

Without Jupyter: the bundles as they are shipped, over made-up numbers.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from js.harness.fixture import offered, workbench
from js.harness.stage import Stage
from mi_widgets.view import Choice

from .lab import View

pytestmark = pytest.mark.browser


@pytest.fixture
def stage(page: Page) -> Stage:
    stage = Stage(page)
    stage.show(workbench(choices=offered("overview")))
    return stage


def part(stage: Stage, name: str) -> Locator:
    return stage.page.get_by_test_id(name)


def test_a_tab_stays_while_its_maps_are_drawn_anew(stage: Stage) -> None:
    tab = part(stage, "tab-attribution")
    tab.click()
    drawn = workbench().get_state(["panels"])["panels"]
    stage.put(panels=[])
    stage.put(panels=[panel for panel in drawn if panel["instrument"] == "attention"])
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(part(stage, "choice-pair")).to_be_visible()
    stage.put(panels=drawn)
    expect(part(stage, "grid-attribution-heads")).to_be_visible()


def test_a_tab_without_an_instrument_is_gone(stage: Stage) -> None:
    part(stage, "tab-attribution").click()
    stage.put(panels=[], choices=[])
    expect(part(stage, "tab-attribution")).to_be_hidden()


def test_a_corrupted_prompt_that_was_not_touched_goes_with_its_prompt(stage: Stage) -> None:
    prompt, corrupt = part(stage, "question-prompt"), part(stage, "question-corrupt")
    own, twin = prompt.input_value(), corrupt.input_value()
    prompt.press("End")
    prompt.press("x")
    expect(corrupt).to_have_value("")
    prompt.press("Backspace")
    expect(prompt).to_have_value(own)
    expect(corrupt).to_have_value(twin)
    expect(part(stage, "ask")).to_be_disabled()
    prompt.press("x")
    part(stage, "ask").click()
    assert stage.sent[-1] == {"type": "ask", "prompt": own + "x", "corrupt": "", "answer": " Mary", "foil": " John"}


def test_a_corrupted_prompt_of_ones_own_stays(stage: Stage) -> None:
    corrupt = part(stage, "question-corrupt")
    corrupt.fill("Mine")
    part(stage, "question-prompt").fill("Another prompt")
    expect(corrupt).to_have_value("Mine")
    part(stage, "unask").click()
    part(stage, "question-prompt").fill("Another prompt")
    expect(corrupt).to_have_value("")


def test_what_a_choice_means_is_said_on_its_buttons_and_of_what_a_list_holds(stage: Stage) -> None:
    told = {"zero": "Set to zero.", "both": "Two maps."}
    few = Choice("method", "Method", "mean", (("zero", "zero"), ("mean", "mean")), told)
    many = Choice("effect", "Effect", "both", tuple((each, each) for each in ("a", "b", "c", "d", "both")), told)
    stage.show(workbench(choices=offered("overview", method=few, effect=many)))
    part(stage, "tab-attribution").click()
    buttons = part(stage, "choice-method").get_by_role("button")
    assert [each.get_attribute("title") for each in buttons.all()] == ["Set to zero.", None]
    expect(part(stage, "choice-effect").get_by_role("combobox")).to_have_attribute("title", "Two maps.")


def test_what_the_guide_says_to_click_picks_something(stage: Stage) -> None:
    expect(part(stage, "guide").locator("li").first).to_contain_text("small picture")
    View(part(stage, "mi-view")).click("attention-heads", 0, 0)
    assert stage.get("picks") == [[0, 0, 0]]
