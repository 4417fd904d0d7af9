"""Every dataset built once for the run, by a process that must not import TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets.official_folders import MAKERS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with official/<name> and records/<name>."""
    pytest.importorskip("array_record", reason="array_record has no wheel here: datasets are read from folders")
    root = tmp_path_factory.mktemp("datasets")
    for name, make in MAKERS.items():
        make(root / "official" / name)
    # It is there for whoever asks for it, and ends whoever imports it.
    tensorflow = root / "packages" / "tensorflow"
    tensorflow.mkdir(parents=True)
    (tensorflow / "__init__.py").write_text("import os\nprint('TensorFlow is imported', flush=True)\nos._exit(9)\n")
    path = os.pathsep.join([os.fspath(root / "packages"), os.fspath(ROOT)])
    command = [sys.executable, os.fspath(Path(__file__).with_name("build_child.py")), os.fspath(root)]
    environment = os.environ | {"PYTHONPATH": path}
    run = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    return root
