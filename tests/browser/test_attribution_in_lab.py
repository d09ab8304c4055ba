"""The attribution view in a real JupyterLab: what is shown, of which pair, direct beside total, and what cells do
together, held against plain TransformerLens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Browser, Locator, expect

import mi_widgets as mi

from .conftest import shoot, watched
from .lab import Lab, Notebook, View

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(900)]

CELLS = {
    "load": "import mi_widgets as mi\nmodel = mi.load()\ntask = mi.tasks.ioi()",
    "maps": "view = mi.AttributionView(model, task, pairs=2, objects='heads', directions={})\nview",
    "wait": "view.wait()",
    "prompt": "print(repr(view.prompt), len(view.tokens))",
    "sites": "print(view.selection)",
}
CELL = (23, 3)  # a head that moves the name
OTHER = (20, 0)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model() -> mi.Model:
    return mi.load()


class Desk:
    """One notebook with all the cells, its kernel warm and its maps drawn."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.view: View = notebook.view(1)

    def run(self, cell: str) -> Locator:
        return self.notebook.run(list(CELLS).index(cell))

    def choose(self, name: str, answer: str) -> None:
        """Answer a choice on the page, and wait for its maps."""
        control = self.view.root.get_by_test_id(f"choice-{name}")
        if control.locator("select").count():
            control.locator("select").select_option(answer)
        else:
            control.get_by_role("button", name=answer, exact=True).click()
        self.settle(name, answer)

    def step(self, name: str, way: str, answer: str) -> None:
        """Go on to the next option, or back."""
        self.view.root.get_by_test_id(f"choice-{name}").get_by_role("button", name=way).click()
        self.settle(name, answer)

    def settle(self, name: str, answer: str) -> None:
        control = self.view.root.get_by_test_id(f"choice-{name}")
        if control.locator("select").count():
            expect(control.locator("select")).to_have_value(answer)
        else:
            expect(control.locator(f"[data-value={answer}]")).to_have_attribute("aria-pressed", "true")
        self.run("wait")


@pytest.fixture(scope="module")
def desk(lab: Lab, browser: Browser) -> Iterator[Desk]:
    with watched(browser) as page:
        desk = Desk(lab.open(page, "attribution", list(CELLS.values())))
        for cell in ("load", "maps", "wait"):
            desk.run(cell)
        yield desk


@pytest.fixture
def view(desk: Desk, request: pytest.FixtureRequest) -> Iterator[View]:
    yield desk.view
    shoot(desk.notebook.page, request)


def restored(model: mi.Model, pair: mi.Pair, cells: list[tuple[int, int]]) -> float:
    """The metric's gain when heads of the corrupt run are those of the clean one: TransformerLens alone."""
    bridge = model.bridge
    answer, foil = (bridge.to_single_token(text) for text in (pair.answer, pair.foil))

    def read(logits: torch.Tensor) -> float:
        return float(logits[0, -1, answer] - logits[0, -1, foil])

    with torch.no_grad():
        clean, corrupt = (bridge.to_tokens(text) for text in (pair.clean, pair.corrupt))
        cache = bridge.run_with_cache(clean)[1]

        def put(head: int):  # type: ignore[no-untyped-def]
            def hook(z, hook):  # type: ignore[no-untyped-def]
                z = z.clone()
                z[:, :, head] = cache[hook.name][:, :, head]
                return z

            return hook

        hooks = [(f"blocks.{layer}.attn.hook_z", put(head)) for layer, head in cells]
        return read(bridge.run_with_hooks(corrupt, fwd_hooks=hooks)) - read(bridge(corrupt))


def test_the_next_pair_brings_its_own_prompt_and_map(desk: Desk, view: View, model: mi.Model) -> None:
    pairs = mi.tasks.ioi().fit[:2]
    expect(desk.run("prompt")).to_contain_text(repr(pairs[0].clean))
    desk.step("pair", "Next Pair", "1")
    desk.step("pair", "Next Pair", "2")
    expect(desk.run("prompt")).to_contain_text(repr(pairs[1].clean))
    name = pairs[1].clean.split()[1]
    assert name != pairs[0].clean.split()[1]
    expect(view.root.get_by_test_id("tokens").locator("[data-index='2']")).to_have_text(f"·{name}")
    view.show("heads", *CELL)
    view.page.mouse.move(*view.middle("heads", *CELL))
    shown = view.root.get_by_test_id("readout").first.inner_text()
    assert f"{restored(model, pairs[1], [CELL]):+.2f}".replace("-", "−") in shown


def test_picked_heads_are_put_back_together(view: View, model: mi.Model) -> None:
    view.click("heads", *CELL)
    view.click("heads", *OTHER, "Shift")
    result = view.run()
    joint = result.get_by_test_id("joint")
    pair = mi.tasks.ioi().fit[1]
    shown = {name: float(joint.get_attribute(f"data-{name}") or "nan") for name in ("effect", "sum")}
    assert shown["effect"] == pytest.approx(restored(model, pair, [CELL, OTHER]), abs=TOLERANCE)
    alone = sum(restored(model, pair, [cell]) for cell in (CELL, OTHER))
    assert shown["sum"] == pytest.approx(alone, abs=TOLERANCE)
    expect(joint.get_by_test_id("control-band")).to_be_visible()
    expect(joint).to_contain_text("20 random controls")


def test_the_direct_part_stands_beside_the_total_effect_in_the_same_colours(desk: Desk, view: View) -> None:
    desk.choose("effect", "both")
    total, direct = (view.root.locator(f"[data-panel={name}]") for name in ("heads", "heads-direct"))
    expect(direct.get_by_test_id("legend")).to_contain_text("Direct part")
    assert total.locator(".mi-ticks").first.inner_text() == direct.locator(".mi-ticks").first.inner_text()
    expect(view.grid("heads-direct")).to_have_attribute("data-picked", "2")
    view.click("heads-direct", 0, 0)
    assert view.picks() == ["L0H0"]
    expect(view.grid("heads")).to_have_attribute("data-picked", "1")


def test_neurons_are_read_by_rank_and_picked_as_places(desk: Desk, view: View) -> None:
    desk.choose("objects", "neurons")
    expect(view.grid("neurons")).to_have_attribute("aria-rowcount", "20")
    expect(view.root.get_by_test_id("legend")).to_contain_text("Exact: 20 of the 20 neurons of this page")
    desk.step("page", "Next Ranks", "2")
    expect(view.root.locator("[data-panel=neurons]")).to_contain_text("Ranks 21–40")
    view.click("neurons", 0, 1)
    (name,) = view.picks()
    expect(desk.run("sites")).to_contain_text(name)
    assert ".mlp.hook_post" in (view.run().get_attribute("data-hooks") or "")


def test_fixed_colours_say_so_and_stay(desk: Desk, view: View) -> None:
    desk.choose("objects", "heads")
    legend = view.root.locator("[data-panel=heads]").get_by_test_id("legend")
    desk.choose("range", "fixed")
    expect(legend).to_contain_text("Colours are fixed")
    ends = legend.locator(".mi-ticks").first.inner_text()
    desk.step("pair", "Previous Pair", "1")
    assert legend.locator(".mi-ticks").first.inner_text() == ends
