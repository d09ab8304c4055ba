"""Every notebook runs from top to bottom, offline, as a newcomer runs it."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
MOST_CELLS = 12

pytestmark = [pytest.mark.notebook, pytest.mark.model, pytest.mark.timeout(900)]


@pytest.fixture(params=sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def test_notebook_runs_and_every_view_in_it_shows_something(notebook: nbformat.NotebookNode) -> None:
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr" and "Error" in output.text]
    assert nbformat.validate(notebook) is None


def test_notebook_is_short_and_ships_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 0 < len(code) <= MOST_CELLS
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
