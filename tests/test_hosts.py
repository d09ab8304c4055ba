"""Hosts without a page: plain Python, nbclient and papermill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

SCRIPT = """
import mi_widgets as mi
from tests import tiny
model = mi.Model(tiny.hugging_face("llama"), tiny.tokenizer(), "tiny llama")
view = mi.AttentionView(model, tiny.CLEAN, directions={})
view.wait()
view.selection = [mi.Site("head", 1, 2)]
result = view.run()
print(view)
print(type(view.figure()).__name__, repr(view))
try:
    view.figure(7)
except IndexError as error:
    print(error)
"""
CELLS = [
    "layer = 0",
    "import mi_widgets as mi\nfrom tests import tiny\n"
    "model = mi.Model(tiny.hugging_face('llama'), tiny.tokenizer(), 'tiny llama')",
    "view = mi.AttentionView(model, tiny.CLEAN, directions={})\nview",
    "view.wait()\nview.selection = [mi.Site('head', layer, 2)]\nhooks = view.run()['hooks']\n"
    "import time\ntime.sleep(1)\nhooks",  # nbclient takes what remains while the cell runs
]
MOST = 200_000  # bytes of a widget's saved state without its script


def test_a_view_in_plain_python_tells_what_it_shows() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    said = ran.stdout
    assert "Attention: where every head looks · tiny llama" in said
    assert "Control: random other heads" in said and " -> " in said
    assert "Figure AttentionView('Attention: where every head looks': heads 3 x 4)" in said
    assert "there is no panel 7: panel 0 (heads) is 3 x 4" in said


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """The cells as papermill, which is nbclient with parameters, has run them."""
    folder = tmp_path_factory.mktemp("papermill")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "in.ipynb")
    papermill.execute_notebook(
        folder / "in.ipynb", folder / "out.ipynb", {"layer": 1}, progress_bar=False, cwd=Path.cwd()
    )
    return nbformat.read(folder / "out.ipynb", 4)


def test_papermill_runs_the_loop_with_its_parameters(ran: nbformat.NotebookNode) -> None:
    assert "blocks.1.attn.hook_z" in ran.cells[4].outputs[-1]["data"]["text/plain"]
    nbformat.validate(ran)


def test_what_remains_holds_the_run_that_came_after_it(ran: nbformat.NotebookNode) -> None:
    (remains,) = (each["data"]["text/html"] for each in ran.cells[3].outputs if "text/html" in each["data"])
    assert "last run" in remains and "L1H2" in remains


def test_the_saved_state_is_small(ran: nbformat.NotebookNode) -> None:
    states = ran.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    for state in states:
        state["state"] = {name: value for name, value in state["state"].items() if name not in ("_esm", "_css")}
        assert len(json.dumps(state)) < MOST
