"""A view in a page without Jupyter: what the pictures and the browser tests of the views stand on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

from mi_widgets.view import Loop

from .fixture import plain, state

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "mi_widgets" / "static"

ADDRESS = "http://127.0.0.1/harness/"  # nobody listens there: every request is answered here
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'"
MOUNTED = "[data-mounted]"
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Stage:
    """A page that shows one view at a time, from the bundles that the build left in `mi_widgets/static`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._scene: dict[str, Any] = {}
        self._errors: list[str] = []
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.route("**/*", self._answer)

    def show(self, view: Loop, **host: str) -> None:
        """Mount a view and wait until it is drawn. host: the page around it, `theme="dark"` or `dir="rtl"`."""
        self._scene = state(view)
        self.page.goto(ADDRESS + "?" + "&".join(f"{name}={value}" for name, value in host.items()))
        self.page.wait_for_selector(MOUNTED, state="attached")
        if self._errors:
            raise RuntimeError(f"The view did not come up: {'; '.join(self._errors)}")
        self.settle()

    def put(self, **traits: Any) -> None:
        """Change traits as Python would."""
        self.page.evaluate("(traits) => window.put(traits)", plain(traits))
        self.settle()

    def get(self, trait: str) -> Any:
        """A trait as the page has left it."""
        return self.page.evaluate("(name) => window.model.get(name)", trait)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What the page has asked Python for."""
        return self.page.evaluate("window.model.sent")

    def settle(self) -> None:
        """Wait until what is due has been drawn."""
        self.page.evaluate(SETTLED)

    def _answer(self, route: Route) -> None:
        name = route.request.url.split("?")[0].rsplit("/", 1)[-1] or "page.html"
        if name == "scene.json":
            route.fulfill(body=json.dumps(self._scene), content_type="application/json")
            return
        path = next((folder / name for folder in (HERE, STATIC) if (folder / name).exists()), None)
        if path is None:
            route.fulfill(status=404)
        else:
            headers = {"Content-Type": KINDS[path.suffix], "Content-Security-Policy": POLICY}
            route.fulfill(body=path.read_text("utf-8"), headers=headers)
