"""Scripts that are run by their file name find the folders beside theirs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "scripts").glob("*.py")
    if f"python {path.relative_to(ROOT).as_posix()}" in path.read_text()
)


@pytest.mark.parametrize("script", RUN)
def test_what_is_beside_a_script_is_found_without_being_installed(script: str) -> None:
    """Python looks in the script's own folder and among what is installed: the package alone."""
    text = (ROOT / script).read_text()
    first = re.search(r"^(from|import) (data_pipelines|scripts|tests)\b", text, re.MULTILINE)
    assert first is None or "sys.path.insert(0, str(Path(__file__).resolve().parents[1]))" in text[: first.start()]
