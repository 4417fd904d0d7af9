"""A pipeline of Apache Beam writes the same bytes as the plain builder (an environment of its own: pyproject.toml)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets.conftest import ROOT

BUILD = """
import sys
from pathlib import Path
from data_pipelines import NAMES
from data_pipelines.build import build
root = Path(sys.argv[1])
for name in NAMES:
    official = root / "official" / name
    build(name, manual_dir=official if official.is_dir() else None, data_dir=root / "beam", beam="")
"""


def test_beam_writes_the_same_bytes(built: Path):
    """By its DirectRunner; every file of every dataset."""
    pytest.importorskip("apache_beam", reason="apache-beam wants older protobuf and Pillow than the lock")
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    subprocess.run([sys.executable, "-c", BUILD, os.fspath(built)], check=True, env=environment, timeout=300)
    files = [path.relative_to(built / "records") for path in sorted((built / "records").rglob("*")) if path.is_file()]
    assert sum(".array_record-" in path.name for path in files) > 10
    assert files == [path.relative_to(built / "beam") for path in sorted((built / "beam").rglob("*")) if path.is_file()]
    for file in files:
        assert (built / "beam" / file).read_bytes() == (built / "records" / file).read_bytes(), file
