"""Lab: a real JupyterLab with a real kernel, on this machine, with nothing of the user's in it."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

_PROJECT = Path(__file__).parents[2]
_UP = 90  # seconds to wait for the server, on a loaded machine
_CELL_MS = 240_000
_NUMBERED = re.compile(r"\[\d+\]:")
_RIM = 3  # the room a map leaves around its cells, in CSS pixels
_THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
_SETTINGS = {
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},  # no cell leaves the page
    "@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings": {"saveState": True},
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
OLDER = "ipykernel-7.3"
"""The kernel before 7.4, which answers widgets on other threads."""
_OLDER_SPEC = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": OLDER,
    "language": "python",
    "env": {"PYTHONPATH": os.pathsep.join(map(str, (_PROJECT / ".make" / OLDER, _PROJECT)))},
}
_SCROLL = """(grid, [down, across]) => {
    grid.scrollTop = down * grid.scrollHeight - grid.clientHeight / 2;
    grid.scrollLeft = across * grid.scrollWidth - grid.clientWidth / 2;
}"""
_QUIET = (
    "--no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-quic"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser: the one that CHROMIUM names, else Playwright's own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM") or None, args=_QUIET.split())
        yield browser
        browser.close()


class Lab:
    """A JupyterLab server in `folder`; `open` shows a notebook of the given cells in a page.

    theme: "JupyterLab Light" or "JupyterLab Dark". settings: more of JupyterLab's own, by file.
    """

    project = _PROJECT

    def __init__(
        self, folder: Path, theme: str = "JupyterLab Light", settings: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        self.folder = folder
        self.settings = {**_SETTINGS, _THEMES: {"theme": theme}, **(settings or {})}
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self._log = (folder / "server.log").open("w")
        self._settle()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={self.port}",
             f"--IdentityProvider.token={self.token}", "--ServerApp.port_retries=0", f"--notebook-dir={folder}"],
            cwd=folder, env=self._environment(), stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait_until_up()

    def _environment(self) -> dict[str, str]:
        private = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
        paths = {f"JUPYTER_{name}": str(self.folder / name.lower()) for name in private}
        for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
            paths[name] = str(self.folder / name.lower())
        known = os.pathsep.join(filter(None, [str(self.project), os.environ.get("PYTHONPATH")]))
        return {**os.environ, **paths, "HF_HUB_OFFLINE": "1", "PYTHONPATH": known}

    def _settle(self) -> None:
        for name, settings in self.settings.items():
            _write(self.folder / "jupyterlab_settings_dir" / name, settings)

    def _wait_until_up(self) -> None:
        end = time.monotonic() + _UP
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api?token={self.token}", timeout=2)
                return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.3)
        raise TimeoutError((self.folder / "server.log").read_text()[-2000:])

    def open(self, page: Page, name: str, cells: list[str], kernel: str = "python3") -> Notebook:
        """A new notebook with these code cells, open, its kernel idle, nothing run yet. kernel: or `OLDER`."""
        self.write(name, cells, kernel)
        page.goto(f"http://127.0.0.1:{self.port}/lab/tree/{name}.ipynb?token={self.token}&reset")
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=_CELL_MS)
        return Notebook(page)

    def write(self, name: str, cells: list[str], kernel: str = "python3") -> None:
        """A new notebook in the server's folder."""
        if kernel == OLDER:
            _write(self.folder / "data_dir" / "kernels" / OLDER / "kernel.json", _OLDER_SPEC)
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": kernel}},
        )
        nbformat.write(notebook, self.folder / f"{name}.ipynb")

    def close(self) -> None:
        """Stop the server and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()


class Notebook:
    """An open notebook: run its cells, look at what they show."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def cell(self, number: int) -> Locator:
        """The cell of that number, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def run(self, number: int) -> Locator:
        """Run a cell and wait until the kernel is done with it; returns its output area."""
        cell = self.cell(number)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(_NUMBERED, timeout=_CELL_MS)
        return cell.locator(".jp-OutputArea")

    def view(self, number: int) -> View:
        """The view that a cell shows."""
        return View(self.cell(number).get_by_test_id("mi-view"))


class View:
    """A view in the page, used as a person uses it."""

    def __init__(self, root: Locator) -> None:
        self.root = root

    def grid(self, panel: str) -> Locator:
        """The keyboard-focusable grid of a panel."""
        return self.root.get_by_test_id(f"grid-{panel}")

    def show(self, panel: str, row: int, col: int) -> None:
        """Scroll a cell to the middle of its panel, and the panel into sight."""
        grid = self.grid(panel)
        down, across = (
            place / int(grid.get_attribute(count) or 1)
            for place, count in ((row, "aria-rowcount"), (col, "aria-colcount"))
        )
        grid.scroll_into_view_if_needed()
        grid.evaluate(_SCROLL, [down, across])

    def middle(self, panel: str, row: int, col: int) -> tuple[float, float]:
        """Where on the page the middle of a cell is, as the panel is scrolled now."""
        grid = self.grid(panel)
        rows, cols = (int(grid.get_attribute(name) or 0) for name in ("aria-rowcount", "aria-colcount"))
        box = grid.get_by_test_id("cells").bounding_box()
        assert box is not None
        width, height = (box["width"] - 2 * _RIM) / cols, (box["height"] - 2 * _RIM) / rows
        return box["x"] + _RIM + (col + 0.5) * width, box["y"] + _RIM + (row + 0.5) * height

    def click(self, panel: str, row: int, col: int, *keys: str) -> None:
        """Click a cell with the mouse, with keys such as Shift held down."""
        self.show(panel, row, col)
        x, y = self.middle(panel, row, col)
        for key in keys:
            self.page.keyboard.down(key)
        self.page.mouse.click(x, y)
        for key in keys:
            self.page.keyboard.up(key)

    def drag(self, panel: str, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Drag a rectangle from one cell to another."""
        self.show(panel, *start)
        self.page.mouse.move(*self.middle(panel, *start))
        self.page.mouse.down()
        self.page.mouse.move(*self.middle(panel, *end), steps=4)
        self.page.mouse.up()

    def run(self) -> Locator:
        """Press Run and wait until numbers, control band and text are there; returns the result."""
        self.root.get_by_test_id("run").click()
        expect(self.result).to_be_visible(timeout=_CELL_MS)
        expect(self.result).not_to_have_attribute("aria-label", re.compile("stale"), timeout=_CELL_MS)
        expect(self.result).not_to_contain_text("generating", timeout=_CELL_MS)
        expect(self.root).to_have_attribute("data-status", "idle", timeout=_CELL_MS)
        return self.result

    def picks(self) -> list[str]:
        """The picked cells, as the bar names them."""
        return [chip.split()[0] for chip in self.root.get_by_test_id("pick").all_inner_texts()]

    @property
    def page(self) -> Page:
        """The page that the view is in."""
        return self.root.page

    @property
    def result(self) -> Locator:
        """What the last run showed."""
        return self.root.get_by_test_id("result")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
