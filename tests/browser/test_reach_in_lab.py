"""What the views promise to every hand and eye holds inside JupyterLab too, in both of its themes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .lab import Lab
from .test_reach import AXE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

CELLS = [
    """import numpy as np
from mi_widgets.view import AttributionMap, Axis, Panel
heads = Axis("head", [str(i) for i in range(9)])
values = np.random.default_rng(0).normal(size=(30, 9))
view = AttributionMap([Panel("heads", Axis("layer", [str(i) for i in range(30)]), heads, values)], runnable=True)
view""",
    "print(view.picks)",
]
SERIOUS = """async () => (await axe.run(".mi-root", {resultTypes: ["violations"]})).violations
    .filter(({impact}) => ["serious", "critical"].includes(impact))
    .flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html.slice(0, 120)}`))"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_view_is_used_by_keys_alone(page: Page, tmp_path: Path, theme: str) -> None:
    lab = Lab(tmp_path, theme)
    try:
        notebook = lab.open(page, "keys", CELLS)
        notebook.run(0)
        view = notebook.view(0)
        grid, figure = view.grid("heads"), view.root.locator("figure")
        expect(view.root).to_have_attribute("data-theme", theme.split()[1].lower())

        page.evaluate(AXE.read_text("utf-8"))
        assert page.evaluate(SERIOUS) == []

        view.root.get_by_test_id("maximise").focus()
        page.keyboard.press("Tab")
        expect(grid).to_be_focused()
        for key in ("ArrowDown", "ArrowRight", "Enter", "Shift+ArrowRight"):
            page.keyboard.press(key)
        assert view.picks() == ["L1H1", "L1H2"]
        page.keyboard.press("f")
        size = page.viewport_size
        assert size is not None
        assert figure.bounding_box() == {"x": 0, "y": 0, **size}  # whatever a notebook clips
        page.keyboard.press("t")
        expect(view.root.get_by_test_id("ranks")).to_be_focused()
        assert page.evaluate(SERIOUS) == []
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(view.root.get_by_test_id("keys")).to_be_focused()
        page.keyboard.press("Escape")
        expect(view.root.get_by_test_id("keys")).to_be_hidden()
        for part in (grid, view.root.get_by_test_id("verb-scale"), view.root.get_by_test_id("keys-button")):
            part.focus()
            for key in ("ArrowDown", "j", "a", "d", "d"):
                page.keyboard.press(key)
            expect(part).to_be_focused()

        expect(notebook.run(1)).to_contain_text("[(0, 1, 1), (0, 1, 2)]")
        expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(2)  # no key was taken for one of the notebook's
    finally:
        lab.close()
