"""Pictures of the views in the real host, for the README and for looking at: `make screenshots`.

    python -m tests.browser.pictures [folder]

Writes VIEW-light.png, VIEW-dark.png and VIEW-390.png for each view, of the default model, after a run; and of the
JupyterLab extension launcher.png, panel.png and inserted.png.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from .lab import Lab, Notebook, View, chromium

_PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_CELLS = [
    "import mi_widgets as mi\nmodel = mi.load()\npair = mi.tasks.ioi().items[0]",
    "attention = mi.AttentionView(model, pair.clean, answer=pair.answer, foil=pair.foil)\nattention",
    "lens = mi.LensView(model, 'Fact: the capital city of the country of France is the city of')\nlens",
    "attribution = mi.AttributionView(model, pair)\nattribution",
    "attribution.wait()",
    "bench = mi.Workbench(model, pair)\nbench",
    "bench.wait()",
]
_SCREEN: ViewportSize = {"width": 1280, "height": 800}
_WIDTHS = {"light": 1280, "dark": 1280, "390": 390}


def main(folder: Path) -> None:
    """Every view in every look."""
    folder.mkdir(parents=True, exist_ok=True)
    for look, width in _WIDTHS.items():
        theme = "JupyterLab Dark" if look == "dark" else "JupyterLab Light"
        with tempfile.TemporaryDirectory() as home, chromium() as browser:
            lab = Lab(Path(home), theme)
            try:
                page = browser.new_page(viewport={"width": width, "height": 5200}, device_scale_factor=1.5)
                _shoot(lab, page, folder, look)
                if look == "light":
                    _shoot_lab(lab, browser.new_page(viewport=_SCREEN), folder)
            finally:
                lab.close()


def _shoot(lab: Lab, page: Page, folder: Path, look: str) -> None:
    notebook = lab.open(page, "pictures", _CELLS)
    page.keyboard.press("Control+b")  # the file browser away
    for number in range(len(_CELLS)):
        notebook.run(number)
    for name, act in _ACTS.items():
        view = notebook.view(_CELL_OF[name])
        expect(view.root.get_by_role("button", name="Add direction")).to_be_visible(timeout=120_000)
        act(view)
        _still(notebook, view, folder / f"{name}-{look}.png")


def _shoot_lab(lab: Lab, page: Page, folder: Path) -> None:
    """The extension: its launcher cards, its side panel beside a view, and code that went below a view."""
    page.goto(f"http://127.0.0.1:{lab.port}/lab?token={lab.token}&reset")
    page.keyboard.press("Control+b")  # the file browser away
    page.locator(".jp-LauncherCard[data-category=mi_widgets]").last.scroll_into_view_if_needed()
    _page(page, folder / "launcher.png")
    notebook = lab.open(page, "extension", _CELLS[:2])
    page.locator(".lm-TabBar-tab[data-id=mi-widgets-panel]").click()
    for number in range(2):
        notebook.run(number)
    view = notebook.view(1)
    view.click("heads", 20, 0)
    view.root.get_by_test_id("keep").click()
    view.click("heads", 23, 3)
    view.run()
    view.root.get_by_test_id("bar").evaluate("bar => bar.scrollIntoView({block: 'start'})")
    _page(page, folder / "panel.png")
    view.root.get_by_test_id("code").click()
    view.root.get_by_test_id("insert-code").click()
    notebook.run(2)
    notebook.cell(2).evaluate("cell => cell.scrollIntoView({block: 'end'})")
    _page(page, folder / "inserted.png")


def _page(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    page.screenshot(path=path, animations="disabled")
    print(path, flush=True)


def _still(notebook: Notebook, view: View, path: Path) -> None:
    notebook.page.mouse.move(0, 0)
    view.root.screenshot(path=path, animations="disabled")
    print(path, flush=True)


def _attention(view: View) -> None:
    view.click("heads", 20, 0)
    view.click("heads", 23, 3, "Shift")
    view.run()


def _lens(view: View) -> None:
    view.drag("lens", (19, 9), (21, 10))
    view.run()


def _attribution(view: View) -> None:
    view.click("heads", 23, 3)
    view.click("heads", 17, 4, "Shift")
    view.click("heads", 20, 0, "Shift")
    view.run()


def _workbench(view: View) -> None:
    view.click("attention-heads", 20, 0)
    view.root.get_by_test_id("keep").click()
    view.click("attention-heads", 23, 3)
    view.run()
    view.root.get_by_test_id("tab-all").click()


_ACTS = {"attention": _attention, "lens": _lens, "attribution": _attribution, "workbench": _workbench}
_CELL_OF = {"attention": 1, "lens": 2, "attribution": 3, "workbench": 5}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _PICTURES)
