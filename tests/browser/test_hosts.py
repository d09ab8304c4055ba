"""Other hosts than JupyterLab: Notebook 7 and marimo, in a real browser with a real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from .conftest import shoot, watched
from .lab import Lab, Notebook, View, free_port
from .test_life_in_lab import CELLS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LONG_MS = 120_000
APP = """import marimo

app = marimo.App()


@app.cell
def _():
    {cells}
    view
    return (view,)


@app.cell
def _(view):
    view.group
    return
"""


@pytest.fixture(scope="module")
def notebook(lab: Lab, browser: Browser) -> Iterator[Page]:
    """The cells in Notebook 7, run, on the server that JupyterLab uses as well."""
    with watched(browser, hosts_own=("reading 'schema'", "'filebrowser:open-path' not registered")) as page:
        lab.write("seven", CELLS)
        page.goto(f"http://127.0.0.1:{lab.port}/notebooks/seven.ipynb?token={lab.token}")
        indicator = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        expect(indicator).to_be_visible(timeout=LONG_MS)
        page.wait_for_timeout(4000)  # it says idle before the kernel takes cells, and there is no other sign here
        notebook = Notebook(page)
        for number in range(3):
            notebook.run(number)
        yield page


def test_the_loop_runs_in_notebook_7(notebook: Page, request: pytest.FixtureRequest) -> None:
    view = View(notebook.get_by_test_id("mi-view"))
    expect(notebook.locator(".mi-still")).to_be_hidden()
    view.click("heads", 1, 2)
    assert view.picks() == ["L1H2"]
    assert view.run().get_attribute("data-hooks") == "blocks.1.attn.hook_z"
    shoot(notebook, request)


def test_notebook_7_takes_code_below_the_view(notebook: Page) -> None:
    view, cells = View(notebook.get_by_test_id("mi-view")), notebook.locator(".jp-Notebook .jp-Cell")
    view.click("heads", 0, 0)
    view.root.get_by_test_id("code").click()
    view.root.get_by_test_id("insert-code").click()
    expect(cells).to_have_count(4)
    cells.nth(2).scroll_into_view_if_needed()
    expect(cells.nth(2)).to_contain_text("run_with_hooks")
    expect(cells.nth(2).locator(".jp-InputPrompt")).to_have_text("[ ]:")


def test_notebook_7_lists_the_templates_in_its_palette(notebook: Page, lab: Lab) -> None:
    notebook.locator(".jp-Notebook .jp-InputPrompt").first.click()
    notebook.keyboard.press("Control+Shift+C")
    notebook.locator(".lm-CommandPalette-input").fill("New notebook: ")
    found = notebook.locator(".lm-CommandPalette-item[data-command^='mi-widgets:open-']")
    expect(found).to_have_count(len(list((lab.project / "notebooks").glob("*.ipynb"))))
    notebook.keyboard.press("Escape")


@pytest.fixture
def marimo(tmp_path: Path) -> Iterator[str]:
    """The address of a marimo app that shows a view."""
    cells = "\n".join(CELLS[:2]).removesuffix("\nview").replace("\n", "\n    ")
    (tmp_path / "app.py").write_text(APP.format(cells=cells))
    port = free_port()
    known = os.pathsep.join(filter(None, [str(Lab.project), os.environ.get("PYTHONPATH")]))
    server = subprocess.Popen(
        [sys.executable, "-m", "marimo", "run", "--headless", "--no-token", f"--port={port}", "app.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": known, "HOME": str(tmp_path)},
    )  # fmt: skip
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(20)


def test_the_loop_runs_in_marimo(marimo: str, browser: Browser, request: pytest.FixtureRequest) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 1100})
    end = time.monotonic() + LONG_MS / 1000
    while True:
        try:
            page.goto(marimo)
            break
        except Error:  # it is not up yet
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
    view = View(page.get_by_test_id("mi-view"))
    expect(view.root).to_be_visible(timeout=LONG_MS)
    view.click("heads", 1, 2)
    view.run()
    assert view.result.get_attribute("data-hooks") == "blocks.1.attn.hook_z"
    view.root.get_by_test_id("code").click()
    expect(view.root.get_by_test_id("code-text")).to_contain_text("run_with_hooks")
    shoot(page, request)
    page.close()
