"""What a person does in the lens's page, without Jupyter: the bundles as they are shipped, over made-up numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from js.harness.fixture import SCENES, failure
from js.harness.stage import Stage

from .lab import View

pytestmark = pytest.mark.browser


@pytest.fixture
def stage(page: Page) -> Stage:
    stage = Stage(page)
    stage.show(SCENES["lens"])
    return stage


def by(stage: Stage, name: str) -> Locator:
    return stage.page.get_by_test_id(name)


def follow(stage: Stage) -> Locator:
    return by(stage, "choice-target").get_by_role("textbox")


def chosen(stage: Stage) -> list[Any]:
    return [(said["name"], said["value"]) for said in stage.sent if said["type"] == "choose"]


def test_a_typed_token_is_given_once_by_enter(stage: Stage) -> None:
    follow(stage).fill(" Paris")
    assert chosen(stage) == []
    follow(stage).press("Enter")
    follow(stage).blur()
    assert chosen(stage) == [("target", " Paris")]


def test_enter_is_heard_where_the_host_keeps_its_own_meaning_of_it(stage: Stage) -> None:
    stage.page.evaluate("document.body.addEventListener('keydown', (event) => event.preventDefault(), true)")
    follow(stage).fill(" Paris")
    follow(stage).press("Enter")
    assert chosen(stage) == [("target", " Paris")]


def test_a_token_that_is_refused_stays_marked_until_another_holds(stage: Stage) -> None:
    follow(stage).fill("Paris")
    follow(stage).press("Enter")
    stage.put(error=failure())
    expect(follow(stage)).to_have_value("Paris")
    expect(follow(stage)).to_have_attribute("aria-invalid", "true")
    expect(by(stage, "act-token")).to_have_count(0)
    others = [choice for choice in stage.get("choices") if choice["name"] != "target"]
    stage.put(choices=[*others, {**others[0], "name": "target", "value": " Paris", "options": []}])
    expect(follow(stage)).to_have_attribute("aria-invalid", "false")


def test_the_first_verbs_are_the_three_and_the_others_are_under_more(stage: Stage) -> None:
    first = stage.page.get_by_role("group", name="What to do", exact=True).get_by_role("button")
    assert first.all_inner_texts() == ["Switch off", "Scale", "Add direction"]
    expect(by(stage, "verb-clamp")).to_be_hidden()
    expect(by(stage, "more-verbs")).to_have_attribute("aria-expanded", "false")
    by(stage, "more-verbs").click()
    for verb in ("clamp", "replace", "project_out", "reading"):
        expect(by(stage, f"verb-{verb}")).to_be_visible()
    by(stage, "more-verbs").click()
    expect(by(stage, "verb-clamp")).to_be_hidden()


DRAFTS = {
    "clamp": {"verb": "clamp", "low": -1, "high": 1},
    "project_out": {"verb": "project_out", "direction": "cheerful"},
    "reading": {"verb": "reading", "how": "remove", "token": "", "strength": 0.3},
}


@pytest.mark.parametrize("verb", DRAFTS)
def test_a_verb_is_drafted_by_its_button_which_keeps_the_focus(stage: Stage, verb: str) -> None:
    by(stage, "more-verbs").click()
    by(stage, f"verb-{verb}").click()
    assert stage.get("act") == DRAFTS[verb]
    expect(by(stage, f"verb-{verb}")).to_have_attribute("aria-pressed", "true")
    expect(by(stage, f"verb-{verb}")).to_be_focused()
    expect(by(stage, "more-verbs")).to_be_hidden()


def test_bounds_are_numbers_or_none(stage: Stage) -> None:
    by(stage, "more-verbs").click()
    by(stage, "verb-clamp").click()
    by(stage, "clamp-low").fill("")
    by(stage, "clamp-high").fill("2.5")
    assert stage.get("act") == {"verb": "clamp", "low": None, "high": 2.5}
    by(stage, "clamp-high").fill("")
    expect(by(stage, "why")).to_have_text("Give a bound.")
    expect(by(stage, "run")).to_be_disabled()


def test_a_swap_waits_for_its_token(stage: Stage) -> None:
    stage.show(SCENES["lens-swap"])
    expect(by(stage, "why")).to_have_text("Type the token that comes in.")
    by(stage, "act-token").fill(" Rome")
    by(stage, "act-token").press("Enter")
    assert stage.get("act")["token"] == " Rome"
    expect(by(stage, "why")).to_contain_text("Swaps ‘\u2068·John\u2069’ and ‘\u2068·Rome\u2069’ in what 1 cell reads")
    by(stage, "how-remove").click()
    expect(by(stage, "why")).to_contain_text("Removes ‘\u2068·Rome\u2069’ from what 1 cell reads")


def test_what_is_followed_is_offered_as_the_reading(stage: Stage) -> None:
    stage.show(SCENES["lens-rank"])
    by(stage, "more-verbs").click()
    by(stage, "verb-reading").click()
    assert stage.get("act")["token"] == " Mary"


def test_a_view_without_a_lens_has_no_reading(stage: Stage) -> None:
    stage.show(SCENES["attribution-result"])
    by(stage, "more-verbs").click()
    expect(by(stage, "verb-clamp")).to_be_visible()
    expect(by(stage, "verb-reading")).to_have_count(0)


def test_two_sides_light_up_and_scroll_together_and_have_one_line_each(stage: Stage) -> None:
    stage.page.set_viewport_size({"width": 1100, "height": 900})
    stage.show(SCENES["lens-both"])
    view = View(by(stage, "mi-view"))
    view.show("edited", 22, 14)
    stage.settle()
    scrolled = [view.grid(name).evaluate("(grid) => grid.scrollLeft") for name in ("lens", "edited")]
    assert scrolled[0] == scrolled[1] > 0
    stage.page.mouse.move(*view.middle("edited", 22, 14))
    for name in ("lens", "edited"):
        figure = view.root.locator(f"figure[data-panel={name}]")
        expect(figure.get_by_test_id("readout")).to_contain_text("layer 22 · position 14")
    line = by(stage, "course").get_by_role("img")
    expect(line.locator("path")).to_have_count(2)
    expect(line).to_have_attribute("aria-label", re.compile("position 14 .*clean: .*edited: "))


def test_a_screen_reader_hears_what_the_card_shows(stage: Stage) -> None:
    stage.show(SCENES["lens-rank"])
    view = View(by(stage, "mi-view"))
    view.grid("lens").focus()
    for key in ("Control+Home", "ArrowDown", "ArrowRight"):
        stage.page.keyboard.press(key)
    spoken = view.root.get_by_role("gridcell").inner_text()
    card = by(stage, "top-card")
    shown = [card.locator(".mi-quantity").inner_text()]
    shown += [" ".join(row.inner_text().split()) for row in card.locator("li").all()]
    assert len(shown) == 6 and all(words in spoken for words in shown)
