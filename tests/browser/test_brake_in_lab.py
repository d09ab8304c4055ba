"""Stop and progress in a real JupyterLab: of the kernel's own cells and beside them, on both kinds of kernels and both
ways of sending a widget's messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import shoot, watched
from .lab import OLDER, Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(600)]

LONG_MS = 120_000
KERNELS = {"python3": "7.4", OLDER: "7.3"}
CELLS = {
    "load": "import time, ipykernel, mi_widgets as mi\nmodel = mi.load()\nprint('ipykernel', ipykernel.__version__)",
    "maps": "maps = mi.AttributionView(model, mi.tasks.ioi(), pairs=40, objects='residual', directions={})\nmaps",
    "busy": "end = time.monotonic() + 90\n"
    "while time.monotonic() < end and maps.status != 'stopped':\n    time.sleep(0.1)\n"
    "print('seen', maps.status)\ntime.sleep(5)",
    "again": "maps.choose('objects', 'heads')",
    "compute": "before = model.fingerprint()\nmi.locate.causal(model, mi.tasks.ioi(), objects='heads')",
    "state": "print('same' if model.fingerprint() == before else 'changed', model.worker.job)",
}


class Desk:
    """A notebook whose view is busy with long maps."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.run("load")
        self.run("maps")
        self.view = notebook.view(1).root

    def run(self, cell: str) -> Locator:
        return self.notebook.run(list(CELLS).index(cell))

    def begin(self, cell: str) -> Locator:
        """Run a cell without waiting for it; returns its prompt."""
        at = self.notebook.cell(list(CELLS).index(cell))
        at.locator(".cm-content").click()
        self.notebook.page.keyboard.press("Control+Enter")
        prompt = at.locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\[\*\]"))
        return prompt

    def stop(self) -> None:
        self.view.get_by_test_id("stop").first.click()


@pytest.fixture(scope="module", params=["perCommTarget", "disabled"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, str]]:
    name = "@jupyterlab/apputils-extension/kernels-settings.jupyterlab-settings"
    lab = Lab(tmp_path_factory.mktemp("lab"), settings={name: {"commsOverSubshells": request.param}})
    yield lab, request.param
    lab.close()


@pytest.fixture(scope="module", params=list(KERNELS))
def desk(server: tuple[Lab, str], browser: Browser, request: pytest.FixtureRequest) -> Iterator[Desk]:
    lab, _ = server
    with watched(browser) as page:
        desk = Desk(lab.open(page, f"brake-{request.param}", list(CELLS.values()), request.param))
        expect(desk.notebook.cell(0)).to_contain_text(f"ipykernel {KERNELS[request.param]}")
        yield desk
        shoot(page, request)


def test_progress_is_seen_and_stop_heard_while_a_cell_runs(desk: Desk, server: tuple[Lab, str]) -> None:
    _, subshells = server
    prompt = desk.begin("busy")
    expect(desk.view.get_by_test_id("status")).to_contain_text(re.compile(r"\d+ of \d+"), timeout=LONG_MS)
    desk.stop()
    if subshells == "disabled":  # every message waits for the cell: the view says so, and what helps
        expect(desk.view.get_by_test_id("status")).to_contain_text("interrupt the cell", timeout=LONG_MS)
        interrupt(desk.notebook.page)
    expect(desk.view).to_have_attribute("data-status", "stopped", timeout=LONG_MS)
    if subshells != "disabled":
        expect(prompt).to_have_text(re.compile(r"\[\*\]"))
        expect(desk.notebook.cell(2)).to_contain_text("seen stopped", timeout=LONG_MS)
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=LONG_MS)


def test_stop_without_a_busy_cell_keeps_what_is_done(desk: Desk) -> None:
    desk.run("again")
    expect(desk.view.get_by_test_id("status")).to_contain_text(re.compile(r"[1-9]\d* of \d+"), timeout=LONG_MS)
    desk.stop()
    expect(desk.view).to_have_attribute("data-status", "stopped", timeout=LONG_MS)
    expect(desk.view.get_by_test_id("grid-heads")).to_be_visible()


def test_an_interrupt_ends_what_a_cell_computes_and_the_model_is_as_before(desk: Desk) -> None:
    prompt = desk.begin("compute")
    desk.notebook.page.wait_for_timeout(1500)
    interrupt(desk.notebook.page)
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=LONG_MS)
    expect(desk.notebook.cell(4)).to_contain_text("KeyboardInterrupt")
    expect(desk.run("state")).to_contain_text("same None")


def interrupt(page: Page) -> None:
    """Press the notebook's own stop button."""
    page.locator("jp-button[data-command='notebook:interrupt-kernel']").click()
