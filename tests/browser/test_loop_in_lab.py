"""The whole loop in a real JupyterLab with a real kernel: pick, switch off, read the number, compare it with plain
TransformerLens."""

from __future__ import annotations

import re

import pytest
import torch
from playwright.sync_api import Page, expect

import mi_widgets as mi

from .lab import Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(900)]

PROMPT = "When Mary and John went to the store, John gave a drink to"
ANSWER, FOIL = " Mary", " John"
LOAD = "import mi_widgets as mi\nmodel = mi.load()"
ATTENTION = f"view = mi.AttentionView(model, {PROMPT!r}, answer={ANSWER!r}, foil={FOIL!r})\nview"
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model() -> mi.Model:
    return mi.load()


def attention(lab: Lab, page: Page, name: str) -> Notebook:
    notebook = lab.open(page, name, [LOAD, ATTENTION, "print(view.picks, view.status)"])
    notebook.run(0)
    notebook.run(1)
    return notebook


def difference_without(model: mi.Model, layer: int, head: int) -> float:
    """The logit difference's change when a head's output is zero: TransformerLens alone, one hook."""
    bridge = model.bridge
    answer, foil = (bridge.to_single_token(text) for text in (ANSWER, FOIL))

    def zero(z, hook):  # type: ignore[no-untyped-def]
        z = z.clone()
        z[:, :, head] = 0
        return z

    with torch.no_grad():
        tokens = bridge.to_tokens(PROMPT)
        before = bridge(tokens)[0, -1]
        after = bridge.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", zero)])[0, -1]
    return float((after[answer] - after[foil]) - (before[answer] - before[foil]))


@pytest.mark.parametrize("last", [False, True], ids=["first layer", "last layer"])
def test_switching_a_head_off_shows_the_number_of_a_plain_hooked_run(
    lab: Lab, page: Page, model: mi.Model, last: bool
) -> None:
    layer, head = (model.n_layers - 1, model.n_heads - 1) if last else (0, 0)
    view = attention(lab, page, f"switch_off_{layer}").view(1)
    view.click("heads", layer, head)
    assert view.picks() == [f"L{layer}H{head}"]
    view.root.get_by_role("button", name="zero").click()
    result = view.run()
    shown = float(result.get_attribute("data-difference") or "nan")
    assert shown == pytest.approx(difference_without(model, layer, head), abs=TOLERANCE)
    assert result.get_attribute("data-hooks") == f"blocks.{layer}.attn.hook_z"
    expect(result).to_contain_text("other heads of the same layer")


def test_shift_click_drag_and_keyboard_pick_the_cells_python_sees(lab: Lab, page: Page) -> None:
    notebook = attention(lab, page, "picking")
    view = notebook.view(1)
    view.click("heads", 0, 0)
    view.click("heads", 1, 2, "Shift")
    assert view.picks() == ["L0H0", "L1H2"]
    expect(notebook.run(2)).to_contain_text("[(0, 0, 0), (0, 1, 2)] idle")
    view.drag("heads", (0, 1), (1, 2))
    assert view.picks() == ["L0H1", "L0H2", "L1H1", "L1H2"]
    grid = view.grid("heads")
    grid.press("Escape")
    expect(view.root.get_by_test_id("pick")).to_have_count(0)
    grid.press("Control+Home")
    grid.press("Enter")
    assert view.picks() == ["L0H0"]


def test_hover_says_the_value_and_python_writes_picks(lab: Lab, page: Page) -> None:
    notebook = attention(lab, page, "hover")
    view = notebook.view(1)
    page.mouse.move(*view.middle("heads", 2, 1))
    expect(view.root.get_by_test_id("readout").first).to_contain_text(re.compile(r"layer 2.*head 1"))


def test_code_in_the_page_gives_the_number_in_the_page(lab: Lab, page: Page) -> None:
    cells = [LOAD, ATTENTION, "exec(view.code)"]
    notebook = lab.open(page, "code", cells)
    notebook.run(0)
    notebook.run(1)
    view = notebook.view(1)
    view.click("heads", 23, 3)
    shown = float(view.run().get_attribute("data-difference") or "nan")
    view.root.get_by_test_id("code").click()
    expect(view.root.get_by_test_id("code-text")).to_contain_text("run_with_hooks")
    printed = notebook.run(2).inner_text().split()
    assert float(printed[-1]) == pytest.approx(shown, abs=TOLERANCE)


def test_an_error_is_a_card_and_the_model_is_as_before(lab: Lab, page: Page) -> None:
    cells = [
        LOAD,
        ATTENTION,
        "before = model.fingerprint()\nview._answer = lambda *_: 1 / 0",
        "print('same' if model.fingerprint() == before else 'changed', model.worker.job)",
    ]
    notebook = lab.open(page, "error", cells)
    for number in range(3):
        notebook.run(number)
    view = notebook.view(1)
    view.click("heads", 0, 0)
    view.root.get_by_test_id("run").click()
    expect(view.root.get_by_role("alert")).to_contain_text("division by zero", timeout=10_000)
    expect(view.root.get_by_role("alert").locator("details")).not_to_have_attribute("open", "")
    expect(notebook.run(3)).to_contain_text("same None")


def test_token_text_is_shown_as_text(lab: Lab, page: Page) -> None:
    prompt = "<img src=x onerror='window.__pwn=1'><b>bold</b> 👩‍👩‍👧 שלום"
    notebook = lab.open(page, "tokens", [LOAD, f"view = mi.LensView(model, {prompt!r})\nview"])
    notebook.run(0)
    notebook.run(1)
    tokens = notebook.view(1).root.get_by_test_id("tokens")
    expect(tokens).to_contain_text("onerror")
    assert page.evaluate("window.__pwn") is None
    assert page.locator("[data-testid=mi-view] img").count() == 0


def test_lens_and_attribution_run_the_same_loop(lab: Lab, page: Page) -> None:
    pair = f"mi.Pair({PROMPT!r}, {PROMPT.replace(', John', ', Mary')!r}, {ANSWER!r}, {FOIL!r})"
    lens = "mi.LensView(model, 'The capital of France is')"
    cells = [LOAD, lens, f"maps = mi.AttributionView(model, {pair})\nmaps", "maps.wait()"]
    notebook = lab.open(page, "lens_and_attribution", cells)
    for number in range(4):
        notebook.run(number)
    reading = notebook.view(1)
    reading.click("lens", 29, 5)
    assert reading.run().get_attribute("data-hooks") == "blocks.29.hook_resid_post"
    maps = notebook.view(2)
    maps.click("residual", 5, 10)
    assert maps.run().get_attribute("data-hooks") == "blocks.5.hook_resid_pre"
    maps.click("heads", 23, 3)
    assert float(maps.run().get_attribute("data-difference") or "nan") < -1
