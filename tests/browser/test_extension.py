"""The JupyterLab extension beside its Code button: launcher cards, the palette, and the side panel."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from playwright.sync_api import Page, expect

from .conftest import shoot
from .lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LONG_MS = 120_000
TINY = """import torch, mi_widgets as mi
from tests import tiny
model = mi.Model(tiny.hugging_face("llama"), tiny.tokenizer(), "tiny <b>llama</b>")
view = mi.AttentionView(model, tiny.CLEAN, directions={})
view"""
BUSY = """import threading
go = threading.Event()
job = model.submit(go.wait)
view.progress = {"done": 3, "total": 9, "eta": 1.0, "label": "a map"}"""
FREE = "go.set(); view.progress = {}"


def launcher(lab: Lab, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{lab.port}/lab?token={lab.token}&reset")
    expect(page.locator(".jp-Launcher")).to_be_visible(timeout=LONG_MS)


def test_a_launcher_card_opens_a_copy_and_a_second_one_beside_it(lab: Lab, page: Page) -> None:
    notebooks = sorted(path.stem for path in (lab.project / "notebooks").glob("*.ipynb"))
    for name in ("workbench.ipynb", "workbench-1.ipynb"):
        launcher(lab, page)
        cards = page.locator(".jp-LauncherCard[data-category=mi_widgets]")
        expect(cards).to_have_count(len(notebooks))
        cards.nth(1).click()
        expect(page.locator(".jp-Notebook .jp-Cell").first).to_contain_text("One prompt, three maps", timeout=LONG_MS)
        assert nbformat.validate(nbformat.read(lab.folder / name, 4)) is None
    shipped = json.loads((lab.project / "notebooks" / "workbench.ipynb").read_text())
    assert [cell["source"] for cell in json.loads((lab.folder / "workbench-1.ipynb").read_text())["cells"]] == [
        cell["source"] for cell in shipped["cells"]
    ]


def test_the_palette_lists_every_notebook(lab: Lab, page: Page) -> None:
    launcher(lab, page)
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill("New notebook:")
    found = page.locator(".lm-CommandPalette-item[data-command^='mi-widgets:open-']")
    expect(found).to_have_count(len(list((lab.project / "notebooks").glob("*.ipynb"))))


def test_the_side_panel_lists_views_what_is_applied_and_what_runs(
    lab: Lab, page: Page, request: pytest.FixtureRequest
) -> None:
    notebook = lab.open(page, "panel", [TINY, BUSY, FREE, "print(view.picks, view.status)"])
    notebook.run(0)
    page.get_by_title(re.compile("mi_widgets: models")).first.click()
    side = page.locator("#mi-widgets-panel")
    shown = side.get_by_test_id("mi-sidebar-view")
    expect(shown).to_have_count(1, timeout=LONG_MS)
    expect(side).to_contain_text("tiny <b>llama</b>")
    expect(shown).to_contain_text("ready")

    view = notebook.view(0)
    view.click("heads", 0, 0)
    view.root.get_by_test_id("keep").click()
    expect(shown).to_contain_text("L0H0 set to its mean")
    view.click("heads", 1, 2)
    view.run()
    expect(shown).to_contain_text("Runs")
    shoot(page, request)
    applied = shown.get_by_role("heading", name="Applied")
    for _ in range(2):
        shown.get_by_role("button", name="Undo").click()
    expect(applied).to_have_count(0)
    shown.get_by_role("button", name="Redo").click()
    expect(applied).to_have_count(1)

    notebook.run(1)
    expect(shown).to_contain_text("a map · 3 of 9")
    expect(shown.get_by_role("button", name="Stop")).to_be_visible()
    notebook.run(2)
    expect(shown.get_by_role("button", name="Stop")).to_have_count(0)


def test_a_stranger_among_the_views_is_not_listed(lab: Lab, page: Page) -> None:
    launcher(lab, page)
    page.get_by_title(re.compile("mi_widgets: models")).first.click()
    page.evaluate("""() => {
        for (const detail of [null, 5, {}, {root: document.body, read: () => ({title: "fake"})}])
            document.dispatchEvent(new CustomEvent("mi-widgets:present", {detail}));
    }""")
    expect(page.locator("#mi-widgets-panel")).to_contain_text("Views appear here")


def test_the_settings_are_listed_and_reach_views_and_panel(
    lab: Lab, page: Page, request: pytest.FixtureRequest
) -> None:
    path = lab.folder / "jupyterlab_settings_dir" / "mi-widgets" / "settings.jupyterlab-settings"
    path.parent.mkdir()
    path.write_text(json.dumps({"palette": "grey", "presentation": True, "mostRuns": 1}))
    notebook = lab.open(page, "settings", [TINY])
    notebook.run(0)
    view = notebook.view(0)
    expect(view.root).to_have_attribute("data-presentation", "true")
    assert page.evaluate(
        """() => {
            const bar = document.querySelector("[data-testid=legend] canvas");
            const pixels = bar.getContext("2d").getImageData(0, 2, bar.width, 1).data;
            return pixels.every((part, i) => i % 4 === 3 || part === pixels[i - (i % 4)]);
        }"""
    )
    for row in (0, 1):
        view.click("heads", row, 0)
        view.run()
    page.get_by_title(re.compile("mi_widgets: models")).first.click()
    shown = page.locator("#mi-widgets-panel").get_by_test_id("mi-sidebar-view")
    expect(shown.locator("li")).to_have_count(1)
    path.unlink()
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Settings Editor", exact=True).click()
    expect(page.locator(".jp-PluginList")).to_contain_text("mi_widgets", timeout=LONG_MS)
