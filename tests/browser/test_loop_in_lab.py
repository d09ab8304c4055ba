"""The whole loop in a real JupyterLab with a real kernel: pick, switch off, read the number, compare it with plain
TransformerLens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Browser, Locator, expect

import mi_widgets as mi

from .conftest import shoot, watched
from .lab import Lab, Notebook, View

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(900)]

PROMPT = "When Mary and John went to the store, John gave a drink to"
ANSWER, FOIL = " Mary", " John"
NASTY = "<img src=x onerror='window.__pwn=1'><b>bold</b> 👩‍👩‍👧 שלום"
PAIR = f"mi.Pair({PROMPT!r}, {PROMPT.replace(', John', ', Mary')!r}, {ANSWER!r}, {FOIL!r})"
CELLS = {
    "load": "import mi_widgets as mi\nmodel = mi.load()",
    "attention": f"view = mi.AttentionView(model, {PROMPT!r}, answer={ANSWER!r}, foil={FOIL!r})\nview",
    "picks": "print(view.picks, view.status)",
    "code": "exec(view.code)",
    "nasty": f"mi.LensView(model, {NASTY!r})",
    "lens": "mi.LensView(model, 'The capital of France is')",
    "maps": f"maps = mi.AttributionView(model, {PAIR})\nmaps",
    "wait": "maps.wait()",
    "break": "before = model.fingerprint()\nview._answer = lambda *_: 1 / 0",
    "compare": "print('same' if model.fingerprint() == before else 'changed', model.worker.job)",
}
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model() -> mi.Model:
    return mi.load()


class Desk:
    """One notebook with all the cells, its kernel warm."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook

    def run(self, cell: str) -> Locator:
        return self.notebook.run(list(CELLS).index(cell))

    def view(self, cell: str) -> View:
        return self.notebook.view(list(CELLS).index(cell))


@pytest.fixture(scope="module")
def desk(lab: Lab, browser: Browser) -> Iterator[Desk]:
    with watched(browser) as page:
        desk = Desk(lab.open(page, "loop", list(CELLS.values())))
        desk.run("load")
        desk.run("attention")
        yield desk


@pytest.fixture
def view(desk: Desk, request: pytest.FixtureRequest) -> Iterator[View]:
    """The attention view with nothing picked."""
    view = desk.view("attention")
    view.grid("heads").press("Escape")
    yield view
    shoot(desk.notebook.page, request)


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
def test_switching_a_head_off_shows_the_number_of_a_plain_hooked_run(view: View, model: mi.Model, last: bool) -> None:
    layer, head = (model.n_layers - 1, model.n_heads - 1) if last else (0, 0)
    view.click("heads", layer, head)
    assert view.picks() == [f"L{layer}H{head}"]
    view.root.get_by_role("button", name="zero").click()
    result = view.run()
    shown = float(result.get_attribute("data-difference") or "nan")
    assert shown == pytest.approx(difference_without(model, layer, head), abs=TOLERANCE)
    assert result.get_attribute("data-hooks") == f"blocks.{layer}.attn.hook_z"
    expect(result).to_contain_text("random other heads")


def test_code_in_the_page_gives_the_number_in_the_page(desk: Desk, view: View) -> None:
    view.root.get_by_role("button", name="mean").click()
    view.click("heads", 23, 3)
    shown = float(view.run().get_attribute("data-difference") or "nan")
    view.root.get_by_test_id("code").click()
    expect(view.root.get_by_test_id("code-text")).to_contain_text("run_with_hooks")
    printed = desk.run("code").inner_text().split()
    assert float(printed[-1]) == pytest.approx(shown, abs=TOLERANCE)


def test_shift_click_drag_and_keyboard_pick_the_cells_python_sees(desk: Desk, view: View) -> None:
    view.click("heads", 0, 0)
    view.click("heads", 1, 2, "Shift")
    assert view.picks() == ["L0H0", "L1H2"]
    expect(desk.run("picks")).to_contain_text("[(0, 0, 0), (0, 1, 2)]")
    view.drag("heads", (0, 1), (1, 2))
    assert view.picks() == ["L0H1", "L0H2", "L1H1", "L1H2"]
    grid = view.grid("heads")
    grid.press("Escape")
    expect(view.root.get_by_test_id("pick")).to_have_count(0)
    grid.press("Control+Home")
    grid.press("Enter")
    assert view.picks() == ["L0H0"]


def test_hover_says_the_value(view: View) -> None:
    view.show("heads", 2, 1)
    view.page.mouse.move(*view.middle("heads", 2, 1))
    expect(view.root.get_by_test_id("readout").first).to_contain_text(re.compile(r"layer 2.*head 1"))


def test_token_text_is_shown_as_text(desk: Desk) -> None:
    desk.run("nasty")
    nasty = desk.view("nasty").root
    expect(nasty.get_by_test_id("tokens")).to_contain_text("onerror")
    assert desk.notebook.page.evaluate("window.__pwn") is None
    assert nasty.locator("img").count() == 0


def test_lens_and_attribution_run_the_same_loop(desk: Desk) -> None:
    for cell in ("lens", "maps", "wait"):
        desk.run(cell)
    reading = desk.view("lens")
    reading.click("lens", 29, 5)
    assert reading.run().get_attribute("data-hooks") == "blocks.29.hook_resid_post"
    maps = desk.view("maps")
    maps.click("residual", 5, 10)
    assert maps.run().get_attribute("data-hooks") == "blocks.5.hook_resid_pre"
    maps.click("heads", 23, 3)
    assert float(maps.run().get_attribute("data-difference") or "nan") < -1


def test_an_error_is_a_card_and_the_model_is_as_before(desk: Desk, view: View) -> None:
    desk.run("break")
    view.click("heads", 0, 0)
    view.root.get_by_test_id("run").click()
    card = view.root.get_by_role("alert")
    expect(card).to_contain_text("division by zero", timeout=10_000)
    expect(card.locator("details")).not_to_have_attribute("open", "")
    expect(desk.run("compare")).to_contain_text("same None")
