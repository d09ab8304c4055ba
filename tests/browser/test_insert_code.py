"""The JupyterLab extension: a widget's request becomes a cell below the widget, and nothing else does."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .lab import Lab

pytestmark = pytest.mark.browser

ASK = """([selector, code]) => !document.querySelector(selector).dispatchEvent(
  new CustomEvent("mi-widgets:insert-code", {bubbles: true, cancelable: true, composed: true, detail: {code}}))"""
OUTPUT = "#widget"
CELLS = ['from IPython.display import HTML\nHTML("<p id=widget>a widget</p>")', "second = 2"]
CODE = 'print("<b>not run</b>")\nx = 1'


def test_the_code_goes_below_the_widget_and_is_not_run(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, "insert", CELLS)
    notebook.run(0)
    expect(page.locator(OUTPUT)).to_be_visible()
    notebook.cell(1).click()  # the active cell is another one than the widget's
    cells = page.locator(".jp-Notebook .jp-Cell")

    for selector, code in (("body", CODE), (OUTPUT, 5), (OUTPUT, ""), (OUTPUT, "x" * 100_001)):
        assert page.evaluate(ASK, [selector, code]) is False
    expect(cells).to_have_count(2)

    assert page.evaluate(ASK, [OUTPUT, CODE]) is True
    expect(cells).to_have_count(3)
    inserted = notebook.cell(1)
    assert inserted.locator(".cm-content").inner_text() == CODE
    expect(inserted.locator(".jp-InputPrompt").first).to_have_text("[ ]:")
    expect(inserted).to_have_class(re.compile("jp-mod-active"))
    expect(inserted.locator(".jp-OutputArea-output")).to_have_count(0)
