"""One JupyterLab server for the session, one page for each test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page

from .lab import Lab, chromium


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page for one test; see `watched`."""
    with watched(browser) as page:
        yield page


@contextmanager
def watched(browser: Browser, hosts_own: Sequence[str] = ()) -> Iterator[Page]:
    """A page in which every request beyond this machine, and every error in the console, fails the test.

    hosts_own: words of errors that the host makes without us.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 1100})
    strangers: list[str] = []
    errors: list[str] = []
    page.on("request", lambda r: strangers.append(r.url) if not _is_here(r.url) else None)
    page.on("pageerror", lambda e: errors.append(str(e)) if not any(words in str(e) for words in hosts_own) else None)
    yield page
    page.close()
    assert strangers == []
    assert errors == []


def _is_here(url: str) -> bool:
    return url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def shoot(page: Page, request: pytest.FixtureRequest) -> None:
    """What the page shows at the end of a test, in test-results/."""
    folder = request.config.rootpath / "test-results"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{request.node.name}.png")
