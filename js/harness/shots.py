"""Photograph every scene of the fixture: light and dark, wide and narrow, without Jupyter. A development tool.

.venv/bin/python js/harness/shots.py OUT [scene ...]
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright

HERE = Path(__file__).parent
STATIC = HERE.parent.parent / "mi_widgets" / "static"
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from fixture import SCENES, state  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--no-first-run"]
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def answer(route: Route, scene: str) -> None:
    """Serve the page from this folder, the bundles from where the build left them, and nothing from anywhere else."""
    name = route.request.url.rsplit("/", 1)[-1] or "page.html"
    if name == "scene.json":
        route.fulfill(body=json.dumps(state(SCENES[scene])), content_type="application/json")
        return
    path = next((folder / name for folder in (HERE, STATIC) if (folder / name).exists()), None)
    if path is None:
        route.fulfill(status=404)
    else:
        route.fulfill(body=path.read_text("utf-8"), content_type=KINDS[path.suffix])


def mount(page: Page, scene: str, theme: str = "light") -> None:
    """Show one scene and wait until it is drawn."""
    page.unroute_all()
    page.route("**/*", lambda route: answer(route, scene))
    page.goto("http://harness.invalid/")
    if theme == "dark":
        page.evaluate("document.body.classList.add('dark')")
    page.wait_for_selector("[data-mounted] canvas[data-drawn]")
    page.wait_for_timeout(600 if theme == "dark" else 150)


def main(out: Path, scenes: list[str]) -> None:
    """Write one picture a scene, theme and width."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for width in (1200, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("pageerror", lambda error: print("page error:", error))
            page.on("console", lambda said: print("console:", said.text) if said.type == "error" else None)
            for scene in scenes:
                for theme in ("light", "dark"):
                    mount(page, scene, theme)
                    page.screenshot(path=out / f"{scene}-{width}-{theme}.png", full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(SCENES))
