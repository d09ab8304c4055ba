"""The life of a view in a real JupyterLab: reload, restart, reopening without trust, and a page without script."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import shoot, watched
from .lab import Lab, View

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LONG_MS = 120_000
MOST = 200_000  # bytes of saved state, without the script
CELLS = [
    "import mi_widgets as mi\nfrom tests import tiny\n"
    "model = mi.Model(tiny.hugging_face('llama'), tiny.tokenizer(), 'tiny <i>llama</i>')",
    "view = mi.AttentionView(model, tiny.CLEAN, directions={})\nview",
    "view.wait(); print(view.picks, len(view.session.rows), view.status)",
]
LARGE = [
    CELLS[0].replace("('llama')", "('llama', max_position_embeddings=512)"),
    "ids = [model.ids(tiny.CLEAN)[0].tolist()[1 + n % 8] for n in range(250)]\n"
    "view = mi.AttentionView(model, ids, directions={})\nview.wait()\nview",
]
READ = re.compile(r"\[\d+\]")


class Desk:
    """A notebook with a view, of which a head was picked and switched off, and saved."""

    def __init__(self, lab: Lab, page: Page) -> None:
        self.lab, self.page = lab, page
        self.notebook = lab.open(page, "life", CELLS)
        for number in range(3):
            self.notebook.run(number)
        self.view.click("heads", 1, 2)
        self.view.run()
        self.save()

    @property
    def view(self) -> View:
        return self.notebook.view(1)

    @property
    def still(self) -> Locator:
        return self.page.locator(".mi-still")

    @property
    def file(self) -> Path:
        return self.lab.folder / "life.ipynb"

    def save(self) -> None:
        before = self.file.stat().st_mtime_ns
        self.notebook.cell(2).locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+S")
        while self.file.stat().st_mtime_ns == before:
            self.page.wait_for_timeout(100)


@pytest.fixture(scope="module")
def desk(lab: Lab, browser: Browser) -> Iterator[Desk]:
    with watched(browser) as page:
        yield Desk(lab, page)


def test_what_remains_is_hidden_beside_the_view(desk: Desk) -> None:
    expect(desk.still).to_have_count(1)
    expect(desk.still).to_be_hidden()


def test_the_saved_notebook_is_valid_small_and_tells_the_result(desk: Desk) -> None:
    saved = nbformat.read(desk.file, 4)
    nbformat.validate(saved)
    remains = [output["data"]["text/html"] for output in saved.cells[1].outputs if "text/html" in output["data"]]
    assert len(remains) == 1 and len(remains[0]) < 120_000
    assert "last run" in remains[0] and "L1H2" in remains[0]
    assert desk.file.stat().st_size < MOST


def test_a_reload_brings_picks_and_result_back_and_runs_again(desk: Desk, request: pytest.FixtureRequest) -> None:
    desk.page.reload()
    expect(desk.page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=LONG_MS)
    expect(desk.view.result).to_be_visible(timeout=LONG_MS)
    assert desk.view.picks() == ["L1H2"]
    expect(desk.view.root.get_by_test_id("lost")).to_be_hidden()
    desk.view.click("heads", 0, 1)
    desk.view.run()
    expect(desk.notebook.run(2)).to_contain_text("[(0, 0, 1)] 2 idle")
    shoot(desk.page, request)


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_a_reopened_copy_shows_what_remains(
    desk: Desk, browser: Browser, request: pytest.FixtureRequest, trusted: bool
) -> None:
    copy = json.loads(desk.file.read_text())
    if not trusted:  # JupyterLab knows what it has run by a signature of the whole
        copy["cells"][0]["source"] += ["\n# from somebody else"]
    (desk.lab.folder / "copy.ipynb").write_text(json.dumps(copy))
    with watched(browser) as page:
        page.goto(f"http://127.0.0.1:{desk.lab.port}/lab/tree/copy.ipynb?token={desk.lab.token}&reset")
        remains = page.locator(".jp-OutputArea img[alt]")
        expect(remains.first).to_be_visible(timeout=LONG_MS)
        assert len(remains.first.get_attribute("alt") or "") >= 20
        expect(page.locator(".jp-OutputArea table").first).to_contain_text("strongest cells")
        expect(page.locator(".jp-OutputArea i", has_text="llama")).to_have_count(0)
        shoot(page, request)


def test_a_map_that_would_swell_the_notebook_stays_behind_and_its_picture_is_kept(
    lab: Lab, browser: Browser, request: pytest.FixtureRequest
) -> None:
    file = lab.folder / "large.ipynb"
    with watched(browser) as page:
        notebook = lab.open(page, "large", LARGE)
        for number in range(2):
            notebook.run(number)
        expect(notebook.view(1).root.locator("[data-panel]").first).to_be_visible(timeout=LONG_MS)
        before = file.stat().st_mtime_ns
        page.keyboard.press("Control+S")
        while file.stat().st_mtime_ns == before:
            page.wait_for_timeout(100)
        assert file.stat().st_size < MOST
        page.reload()
        expect(notebook.view(1).root.locator("[data-panel]").first).to_be_visible(timeout=LONG_MS)
        expect(page.locator(".mi-still")).to_be_hidden()
    (lab.folder / "large2.ipynb").write_text(file.read_text())
    with watched(browser) as page:
        page.goto(f"http://127.0.0.1:{lab.port}/lab/tree/large2.ipynb?token={lab.token}&reset")
        expect(page.locator(".jp-OutputArea img[alt]").first).to_be_visible(timeout=LONG_MS)
        shoot(page, request)


def test_an_exported_page_shows_it_without_script(desk: Desk, browser: Browser, request: pytest.FixtureRequest) -> None:
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", str(desk.file)], check=True, capture_output=True)
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(desk.file.with_suffix(".html").as_uri())
    picture = page.locator("img[alt*='Strongest']").first
    expect(picture).to_be_visible()
    assert picture.bounding_box()["width"] > 50  # type: ignore[index]
    expect(page.get_by_text("To use the view, run its cell again.")).to_be_visible()
    shoot(page, request)
    context.close()


def test_a_restart_is_said_controls_rest_and_running_the_cell_again_works(
    desk: Desk, request: pytest.FixtureRequest
) -> None:
    page, root = desk.page, desk.view.root
    page.locator("jp-button[data-command='notebook:restart-kernel']").click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(root.get_by_test_id("lost")).to_be_visible(timeout=LONG_MS)
    expect(root).to_have_attribute("aria-busy", "false")
    assert root.get_by_test_id("bar").evaluate("bar => bar.inert")
    shoot(page, request)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=LONG_MS)
    for number in range(3):
        desk.notebook.run(number)
    expect(desk.view.root.get_by_test_id("lost")).to_be_hidden()
    desk.view.click("heads", 1, 0)
    desk.view.run()
    expect(desk.still).to_be_hidden()


def test_a_saved_state_is_small(lab: Lab) -> None:
    """As nbclient, papermill and JupyterLab with "Save Widget State" store it, of the default model's size."""
    from js.harness.fixture import SCENES

    for name in ("attention", "lens", "attribution-result", "workbench-result"):
        state = SCENES[name].get_state()
        script = len(state.pop("_esm")) + len(state.pop("_css"))
        assert script < MOST
        size = len(json.dumps(state, default=lambda part: "x" * (4 * len(bytes(part)) // 3)))
        assert size < MOST, name
