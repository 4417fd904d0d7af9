"""The fuzzer of meshes, heads, descriptions and configurations: a few runs, and that it notices what it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


@pytest.mark.thorough
def test_damaged_files_are_read_or_refused():
    command = [sys.executable, "fuzz/fuzz_files.py", "--runs", "40", "--seed", "5"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def bad_readers(folder):
    return {
        "crash": (lambda path: [1 / 0], "ZeroDivisionError"),
        "process": (lambda path: os.system("true"), "not allowed: os.system"),
        "started": (lambda path: subprocess.run(["true"], check=False), "not allowed: "),
        "written": (lambda path: (folder / "new").write_bytes(b""), "not allowed: open"),
        "removed": (lambda path: path.unlink(), "not allowed: os.remove"),
    }


def test_the_fuzzer_notices_bad_readers(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "fuzz"))
    import fuzz_files

    watch = fuzz_files.LaxWatch()
    (tmp_path / "cfg.yaml").write_text("a: 1")
    for name, (read, reason) in bad_readers(tmp_path).items():
        result = fuzz_files.one_run(fuzz_files.Target("cfg.yaml", read), tmp_path, b"a: 1", watch)
        assert result.verdict == "failed" and reason in result.reason, name
    target = next(target for target in fuzz_files.TARGETS if target.file == "cfg.yaml")
    assert fuzz_files.one_run(target, tmp_path, b"a: 1", watch).verdict == "read"
