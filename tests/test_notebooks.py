"""The notebook: small, without outputs and paths of one machine, and every cell runs, with tiny numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("grain", reason="grain has no wheel here")
pytest.importorskip("ml_collections", reason="the extra train is not installed")
from emoca_jax.errors import InputError
from scripts.run_notebook import code_cells, parameters, run

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "emoca_open.ipynb"


def test_the_notebook_is_small_and_carries_nothing_of_one_run() -> None:
    assert NOTEBOOK.stat().st_size < 100_000
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
    sources = [source for source, _ in code_cells(NOTEBOOK)]
    assert [changeable for _, changeable in code_cells(NOTEBOOK)].count(True) == 1
    assert not any(word in source for source in sources for word in ('"/', "'/"))
    assert not any(line.startswith(("!", "%")) for source in sources for line in source.splitlines()), (
        "run as a program"
    )


def test_a_name_that_is_no_parameter_is_told(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["A = 1\n"]}]
    place = tmp_path / "one.ipynb"
    place.write_text(json.dumps({"cells": [*cells, {"cell_type": "code", "metadata": {}, "source": "assert A == 2"}]}))
    run(place, parameters(["A=2"]))
    with pytest.raises(InputError, match="has no parameter 'B'"):
        run(place, parameters(["B=2"]))
    place.write_text(json.dumps({"cells": [{"cell_type": "code", "metadata": {}, "source": "A = 1"}]}))
    with pytest.raises(InputError, match="has no cell tagged 'parameters', so no parameter 'A'"):
        run(place, parameters(["A=2"]))
    for word in ("A", "A=x y"):
        with pytest.raises(InputError, match="is no NAME=VALUE"):
            parameters([word])


@pytest.mark.slow
def test_every_cell_runs_with_tiny_numbers(tmp_path: Path) -> None:
    """Draws, finds, trains three runs, judges and draws figures: some ten minutes of two cores."""
    folder = tmp_path / "tiny"
    tiny = [f"FOLDER={str(folder)!r}", "STEPS=(2, 2)", "PICTURES={'train': 48, 'validation': 48, 'test': 48}"]
    command = [sys.executable, str(ROOT / "scripts" / "run_notebook.py"), str(NOTEBOOK), *tiny]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ})
    assert told.returncode == 0, told.stderr[-3000:]
    assert "V-CCC (EMO-MLP)" in told.stdout and "the claim" in told.stdout
    for name in ("astronaut.png", "sheet.jpg", "reproduction_table.png", "reproduction_faces.jpg"):
        assert (folder / name).stat().st_size > 10_000, name
