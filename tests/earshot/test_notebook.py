"""Runs the notebook of examples/ in a Jupyter kernel, cell by cell."""

import asyncio
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The executed cells with code."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    client = NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(folder)}})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JPY_SESSION_NAME": "quickstart"}
    asyncio.run(client.async_execute(env=environment))
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any, form: str) -> str:
    """The value of a cell in one of its forms."""
    (result,) = [output for output in cell.outputs if output.output_type == "execute_result"]
    return str(result.data[form])


def test_it_is_stored_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert NOTEBOOK.stat().st_size < 10_000


def test_values_of_cells(cells: list[Any]) -> None:
    _, bench, run, chains, figure, predictions = cells
    assert "meow" in shown(bench, "text/html")
    assert "fecam" in shown(run, "text/html") and "AA" in shown(run, "text/html")
    text = shown(chains, "text/html")
    seeds, values, trials = 2, 5, 8  # values of slda's space; of the larger one of fecam as many trials as by default
    assert (text.count("<td>slda</td>"), text.count("<td>fecam</td>")) == (seeds * values, seeds * trials)
    assert shown(figure, "image/png").startswith("iVBOR")
    assert "array 0" in shown(predictions, "text/html") and "meow" in shown(predictions, "text/html")


def test_no_warnings_or_errors_are_printed(cells: list[Any]) -> None:
    printed = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert printed == []
