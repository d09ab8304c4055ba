"""The lens in a real JupyterLab: follow a token, take what a cell reads away, see both sides; numbers by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Browser, expect

import mi_widgets as mi

from .conftest import shoot, watched
from .lab import Lab, Notebook, View

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(900)]

PROMPT, ANSWER, FOIL = "The capital of France is", " Paris", " Rome"
LAYER, POSITION = 27, 5
CELLS = [
    "import json, mi_widgets as mi\nmodel = mi.load()",
    f"view = mi.LensView(model, {PROMPT!r}, answer={ANSWER!r}, foil={FOIL!r})\nview",
    "view.wait()\nprint(json.dumps([grid.values.tolist() for grid in view.grids]))",
    "print([choice['value'] for choice in view.choices], view.act, view.picks)",
]
_LONG = 120_000


@pytest.fixture(scope="module")
def notebook(lab: Lab, browser: Browser) -> Iterator[Notebook]:
    with watched(browser) as page:
        notebook = lab.open(page, "lens", CELLS)
        for number in (0, 1):
            notebook.run(number)
        yield notebook


def ranks(model: mi.Model, edited: bool) -> tuple[list[list[int]], float]:
    """The answer's rank after each block, and the metric; plain TransformerLens, with one hook or none."""
    bridge = model.bridge
    answer, foil = (bridge.to_single_token(text) for text in (ANSWER, FOIL))
    norm, head = bridge.ln_final, bridge.W_U
    names = [f"blocks.{layer}.hook_resid_post" for layer in range(bridge.cfg.n_layers)]

    def without(x, hook):  # type: ignore[no-untyped-def]
        own = norm(x[:, POSITION : POSITION + 1]) @ head
        v = norm.original_component.weight * (head[:, own[0, 0].argmax()] - head.mean(-1))
        v = v / v.norm()
        x = x.clone()
        x[:, POSITION] -= (x[:, POSITION] @ v)[:, None] * v
        return x

    with torch.no_grad(), bridge.hooks(fwd_hooks=[(names[LAYER], without)] if edited else []):
        logits, cache = bridge.run_with_cache(bridge.to_tokens(PROMPT), names_filter=names)
        read = torch.stack([bridge.unembed(norm(cache[name]))[0] for name in names])
    last = logits[0, -1]
    return (1 + (read > read[..., answer, None]).sum(-1)).tolist(), float(last[answer] - last[foil])


def test_a_token_is_followed_and_what_a_cell_reads_is_removed_on_both_sides(
    notebook: Notebook, request: pytest.FixtureRequest
) -> None:
    view = notebook.view(1)
    view.root.get_by_test_id("choice-value").get_by_role("button", name="Rank").click()
    field = view.root.get_by_test_id("choice-target").get_by_role("textbox")
    field.fill("Paris")
    field.press("Enter")
    expect(view.root.get_by_role("alert")).to_contain_text("use ' Paris'", timeout=_LONG)
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill(ANSWER)
    field.press("Enter")
    expect(view.root.locator("figure h4").first).to_contain_text('rank of " Paris"', timeout=_LONG)
    view.root.get_by_test_id("choice-side").get_by_role("button", name="Both").click()
    expect(view.root.get_by_test_id("legend").first).to_contain_text("There is no run yet", timeout=_LONG)
    remove_what_is_read(view)
    result = view.run()
    expect(view.grid("edited")).to_be_visible()
    model = mi.load()
    (clean, before), (edited, after) = ranks(model, edited=False), ranks(model, edited=True)
    assert json.loads(notebook.run(2).inner_text().splitlines()[-1]) == [clean, edited] and clean != edited
    assert float(result.get_attribute("data-difference") or "nan") == pytest.approx(after - before, abs=1e-4)
    hovered(view, edited[LAYER][POSITION])
    shoot(notebook.page, request)


def remove_what_is_read(view: View) -> None:
    """Pick the cell, open More, and choose Reading; its own token is what is removed."""
    view.click("lens", LAYER, POSITION)
    expect(view.root.get_by_test_id("verb-reading")).to_be_hidden()
    view.root.get_by_test_id("more-verbs").click()
    view.root.get_by_test_id("verb-reading").click()
    view.root.get_by_test_id("act-token").fill("")
    view.root.get_by_test_id("act-token").press("Enter")
    expect(view.root.get_by_test_id("why")).to_contain_text("Removes ‘\u2068·Paris\u2069’ from what 1 cell reads")


def hovered(view: View, rank: int) -> None:
    """The card beside a cell of the edited side has its exact number, and the line goes through the layers."""
    view.show("edited", LAYER, POSITION)
    view.page.mouse.move(*view.middle("edited", LAYER, POSITION))
    card = view.root.get_by_test_id("map-edited").get_by_test_id("top-card")
    expect(card).to_contain_text(f'rank of " Paris": {rank:,}')
    assert card.locator("li").count() == 5
    words = view.root.get_by_test_id("course").get_by_role("img").get_attribute("aria-label") or ""
    assert words.startswith('rank of " Paris", position 5') and "clean: " in words and "edited: " in words
