"""The Workbench in a real JupyterLab: three maps that pick together, kept edits, the way back, another question, Live,
and a model that is as it was after all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from .conftest import shoot, watched
from .lab import Lab, Notebook, View

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(900)]

LONG_MS = 120_000
CELLS = {
    "load": "import mi_widgets as mi\nmodel = mi.load()\npair = mi.tasks.ioi().items[0]\nbefore = model.fingerprint()",
    "bench": "bench = mi.Workbench(model, pair)\nbench",
    "wait": "bench.wait()",
    "sites": "print(bench.selection, len(bench.picks))",
    "state": "print('same' if model.fingerprint() == before else 'changed', bench.status, len(bench.session.rows))",
    "again": "exec(bench.session.code().replace('view', 'again'))\n"
    "print(max(abs(a['difference'] - b['difference']) for a, b in zip(again.session.rows, bench.session.rows)))",
    "count": "runs = len(bench.session.rows)\nforward = model.forward\ncalls = []\n"
    "model.forward = lambda *a, **k: (calls.append(1), forward(*a, **k))[1]",
    "counted": "print('calls', len(calls))",
}


class Desk:
    """One notebook with all the cells, its kernel warm and its maps drawn."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.view: View = notebook.view(1)

    def run(self, cell: str) -> Locator:
        return self.notebook.run(list(CELLS).index(cell))


@pytest.fixture(scope="module")
def desk(lab: Lab, browser: Browser) -> Iterator[Desk]:
    with watched(browser) as page:
        desk = Desk(lab.open(page, "bench", list(CELLS.values())))
        for cell in ("load", "bench", "wait"):
            desk.run(cell)
        yield desk


@pytest.fixture
def view(desk: Desk, request: pytest.FixtureRequest) -> Iterator[View]:
    yield desk.view
    shoot(desk.notebook.page, request)


def tab(view: View, name: str) -> None:
    view.root.get_by_test_id(f"tab-{name}").click()


def test_a_newcomer_is_led_from_a_cell_to_an_effect_in_three_clicks(view: View) -> None:
    step = view.root.locator(".mi-steps [aria-current]")
    expect(step).to_contain_text("Look")
    view.click("attention-heads", 23, 3)
    expect(step).to_contain_text("Change")
    result = view.run()
    expect(step).to_contain_text("Judge")
    for part in ("control-band", "curve", "side", "before", "after"):
        expect(result.get_by_test_id(part).first).to_be_visible()


def test_what_is_picked_in_one_map_is_picked_in_the_others(desk: Desk, view: View) -> None:
    tab(view, "attribution")
    expect(view.grid("attribution-heads")).to_have_attribute("data-picked", "1")
    view.click("attribution-heads", 20, 0, "Shift")
    tab(view, "attention")
    expect(view.grid("attention-heads")).to_have_attribute("data-picked", "2")
    expect(desk.run("sites")).to_contain_text("L20H0, L23H3 2")


def test_pointing_lights_the_same_place_in_the_other_maps(view: View) -> None:
    tab(view, "all")
    view.show("attribution-heads", 17, 4)
    view.page.mouse.move(*view.middle("attribution-heads", 17, 4))
    heads = view.root.get_by_test_id("map-attention-heads").locator("xpath=..").get_by_test_id("readout")
    expect(heads).to_contain_text(re.compile(r"layer 17.*head 4"))


def test_a_kept_edit_stays_and_takes_a_strength(desk: Desk, view: View) -> None:
    tab(view, "attention")
    view.grid("attention-heads").press("Escape")
    view.click("attention-heads", 20, 0)
    view.root.get_by_test_id("keep").click()
    kept = view.root.get_by_test_id("kept")
    expect(kept).to_contain_text("L20H0")
    kept.get_by_test_id("dose-number").fill("0.5")
    view.click("attention-heads", 23, 3)
    expect(view.run().get_by_test_id("deed")).to_contain_text("(strength 0.5) + L23H3")


def test_undo_goes_back_step_by_step_and_only_in_the_view(desk: Desk, view: View) -> None:
    grid, kept = view.grid("attention-heads"), view.root.get_by_test_id("kept")
    grid.focus()
    grid.press("Control+z")
    expect(view.root.get_by_test_id("pick")).to_have_count(0)
    grid.press("Control+z")
    expect(kept.get_by_test_id("dose-number")).to_have_value("1")
    grid.press("Control+z")
    expect(kept).to_have_count(0)
    for _ in range(3):
        grid.press("Control+Shift+z")
    expect(kept.get_by_test_id("dose-number")).to_have_value("0.5")
    expect(view.root.get_by_test_id("pick")).to_contain_text("L23H3")
    assert desk.notebook.cell(1).locator(".cm-content").inner_text() == CELLS["bench"]


def test_a_strength_is_set_by_keys_and_the_slider_keeps_the_focus(view: View) -> None:
    kept = view.root.get_by_test_id("kept")
    number, slider = kept.get_by_test_id("dose-number"), kept.get_by_test_id("dose")
    slider.focus()
    for key, value in {"ArrowRight": "0.55", "ArrowUp": "0.6", "ArrowLeft": "0.55", "ArrowDown": "0.5"}.items():
        view.page.keyboard.press(key)
        expect(slider).to_be_focused()
        expect(number).to_have_value(value)
    number.press("ArrowUp")
    expect(slider).to_have_value("0.55")
    number.press("ArrowDown")
    expect(slider).to_have_value("0.5")


def test_live_follows_a_slider_with_the_latest_strength_last(desk: Desk, view: View) -> None:
    runs = int(desk.run("state").inner_text().split()[-1])
    view.root.get_by_test_id("follow").click()
    view.root.get_by_test_id("kept").get_by_test_id("dose").evaluate(
        """(slider) => new Promise((done) => {
            let step = 0;
            const timer = setInterval(() => {
                slider.value = String(0.05 * (1 + (step % 20)));
                slider.dispatchEvent(new Event("input", { bubbles: true }));
                if (++step === 200) { clearInterval(timer); done(); }
            }, 10);
        })"""
    )
    expect(view.result.get_by_test_id("deed")).to_contain_text("L20H0 set to its mean + L23H3", timeout=LONG_MS)
    expect(view.result).to_have_attribute("data-stale", "false", timeout=LONG_MS)
    expect(view.root).to_have_attribute("data-status", "idle", timeout=LONG_MS)
    view.root.get_by_test_id("follow").click()
    after = int(desk.run("state").inner_text().split()[-1])
    assert runs < after <= runs + 12, "200 values, and few of them were run"


def test_strength_nought_changes_nothing_at_all(view: View) -> None:
    view.grid("attention-heads").press("Escape")
    view.root.get_by_test_id("kept").get_by_test_id("dose-number").fill("0")
    assert view.run().get_attribute("data-difference") == "0"


def test_the_journal_does_all_of_it_again(desk: Desk, view: View) -> None:
    journal = view.root.get_by_test_id("journal")
    journal.locator("summary").click()
    rows = journal.locator("tbody tr")
    assert rows.count() == int(desk.run("state").inner_text().split()[-1])
    expect(journal.get_by_test_id("journal-code")).to_contain_text("mi.Workbench(model, task")
    assert float(desk.run("again").inner_text().split()[-1]) < 1e-5


def test_a_run_is_busy_until_it_is_stopped_and_what_it_has_shown_stays(desk: Desk, view: View) -> None:
    view.root.get_by_test_id("kept").get_by_test_id("dose-number").fill("1")
    view.root.get_by_test_id("run").click()
    expect(view.root).to_have_attribute("aria-busy", "true")
    expect(view.result).to_have_attribute("data-stale", "false", timeout=LONG_MS)
    shown = view.result.get_attribute("data-difference")
    view.root.get_by_test_id("run-stop").click()
    expect(view.root).to_have_attribute("data-status", "stopped", timeout=LONG_MS)
    expect(view.root).to_have_attribute("aria-busy", "false")
    assert view.result.get_attribute("data-difference") == shown
    expect(desk.run("state")).to_contain_text("same stopped")


def test_another_prompt_makes_all_stale_until_it_is_read(desk: Desk, view: View) -> None:
    prompt = view.root.get_by_test_id("question-prompt")
    prompt.fill("When Anna and Peter went to the market, Peter gave a flower to")
    expect(view.root.get_by_test_id("figures")).to_have_class(re.compile("mi-stale"))
    expect(view.grid("attention-heads")).to_have_attribute("aria-label", re.compile("stale"))
    view.root.get_by_test_id("unask").click()
    expect(view.grid("attention-heads")).not_to_have_attribute("aria-label", re.compile("stale"))
    prompt.fill("When Anna and Peter went to the market, Peter gave a flower to")
    for name, text in {"answer": " Anna", "foil": " Peter", "corrupt": ""}.items():
        view.root.get_by_test_id(f"question-{name}").fill(text)
    view.root.get_by_test_id("ask").click()
    expect(view.root.get_by_test_id("tokens")).to_contain_text("Anna", timeout=LONG_MS)
    expect(view.grid("attention-heads")).not_to_have_attribute("aria-label", re.compile("stale"))
    expect(view.root.get_by_test_id("tab-attribution")).to_be_hidden()
    view.click("attention-heads", 0, 0)
    expect(view.run()).to_contain_text('logit(" Anna") − logit(" Peter")')


def test_a_prompt_that_is_too_long_is_refused_before_the_model_runs(desk: Desk, view: View) -> None:
    desk.run("count")
    view.root.get_by_test_id("question-prompt").fill("word " * 8200)
    view.root.get_by_test_id("ask").click()
    expect(view.root.get_by_role("alert")).to_contain_text(re.compile("tokens"), timeout=LONG_MS)
    expect(desk.run("counted")).to_contain_text("calls 0")
    view.root.get_by_test_id("unask").click()


def test_the_model_is_as_it_was(desk: Desk) -> None:
    expect(desk.run("state")).to_contain_text("same")
