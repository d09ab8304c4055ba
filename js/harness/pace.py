"""How long a long prompt keeps the page busy: opening, zooming, scrolling, pointing. Prints; nothing is asserted.

.venv/bin/python -m js.harness.pace [scene ...]
"""

import sys
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.lab import chromium

from .fixture import SCENES
from .stage import Stage

ACTS = {"zoom": 24, "hover": 60, "scroll": 40, "token": 60, "panel": 5, "picture": 5}


def pace(page: Page, scene: str) -> None:
    """Print what each act costs in one scene: the median and the longest of its frames, and the longest task."""
    page.add_init_script(path=Path(__file__).with_suffix(".js"))
    Stage(page).show(SCENES[scene])
    print(f"{scene}: opens in {page.evaluate('opened'):.0f} ms")
    for what, times in ACTS.items():
        if what == "scroll":  # something to scroll: half way in
            page.locator('[data-testid="grid-pattern"]').focus()
            for _ in range(5):
                page.keyboard.press("+")
        page.evaluate("tasks.length = 0")
        spent = sorted(page.evaluate("([what, times]) => pace(what, times)", [what, times]))
        task = max(page.evaluate("tasks"), default=0)
        print(f"  {what:8} median {spent[len(spent) // 2]:4.0f} ms, longest {spent[-1]:4.0f} ms, task {task:4.0f} ms")


def main(scenes: list[str]) -> None:
    """Every scene that is asked for."""
    with chromium() as browser:
        for scene in scenes:
            pace(browser.new_page(viewport={"width": 1280, "height": 1000}), scene)


if __name__ == "__main__":
    main(sys.argv[1:] or ["attention", "attention-512", "attention-1024"])
