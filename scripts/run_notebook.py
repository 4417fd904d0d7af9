"""Runs the cells of a notebook as one program, without Jupyter, with other sizes where asked:

    python scripts/run_notebook.py notebooks/emoca_open.ipynb
    python scripts/run_notebook.py notebooks/emoca_open.ipynb STEPS="(2, 2)" FOLDER="'runs/tiny'"

NAME=VALUE, a literal of Python, replaces what the cell tagged "parameters" says. Tells how long each cell took.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import time
from pathlib import Path
from typing import Any

# The package is beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular

TAG = "parameters"
"""Of the cell that may be changed, as papermill names it."""


def code_cells(notebook: Path) -> list[tuple[str, bool]]:
    """Source of each code cell, and whether it is the parameters'. Errors: InputError where it is no notebook."""
    try:
        cells = json.loads(read_regular(notebook))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        return [("".join(cell["source"]), TAG in cell["metadata"].get("tags", ())) for cell in code]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{notebook}: is no notebook ({error!r})") from error


def parameters(words: list[str]) -> dict[str, Any]:
    """NAME=VALUE as names and values. Errors: InputError where one is something else."""
    found = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise InputError(f"{word!r} is no NAME=VALUE with a literal of Python; texts need quotes inside") from error
    return found


def run(notebook: Path, changes: dict[str, Any]) -> None:
    """Every code cell in turn. Errors: InputError where a name is none of the parameters; whatever a cell raises."""
    space: dict[str, Any] = {"__name__": "__main__"}
    begin, cells = time.monotonic(), code_cells(notebook)
    if changes and not any(changeable for _, changeable in cells):
        raise InputError(f"{notebook}: has no cell tagged {TAG!r}, so no parameter {next(iter(changes))!r}")
    for number, (source, changeable) in enumerate(cells):
        at = time.monotonic()
        exec(compile(source, f"{notebook.name}, code cell {number}", "exec"), space)
        if changeable:
            unknown = [name for name in changes if name not in space]
            if unknown:
                raise InputError(f"{notebook}: has no parameter {unknown[0]!r}")
            space.update(changes)
        print(f"code cell {number}: {time.monotonic() - at:.0f} s", file=sys.stderr, flush=True)
    print(f"{notebook.name}: {(time.monotonic() - begin) / 60:.1f} minutes", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where nothing can be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    asked = parser.parse_args(arguments)
    try:
        run(asked.notebook, parameters(asked.changes))
    except InputError as error:
        print(f"run_notebook: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
