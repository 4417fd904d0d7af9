"""A few hundred damaged files through the readers, and whether the fuzzer would notice what it looks for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emoca_jax.errors import InputError

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the fuzzer limits memory as Linux does it"
)


def test_damaged_files_are_read_or_refused() -> None:
    """In a process of its own: the watch and the memory limit stay for good."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "fuzz/fuzz_readers.py", "--runs", "400", "--seed", "5"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "400 files" in run.stdout


BAD_READERS = {
    "imports": (lambda path: __import__("this_module_does_not_exist"), "import"),
    "executes": (lambda path: exec("1"), "compile"),
    "starts a process": (lambda path: subprocess.run(["true"], check=False), "subprocess.Popen"),
    "writes": (lambda path: path.with_suffix(".new").write_bytes(b"x"), "open"),
    "opens another file": (lambda path: Path(__file__).read_bytes(), "open"),
    "hides what it did": (lambda path: hide(lambda: os.system("true")), "os.system"),
    "crashes": (lambda path: 1 // 0, "ZeroDivisionError"),
    "hangs": (lambda path: time.sleep(60), "took over"),
    "runs out of memory": (lambda path: refuse("MemoryError"), "MemoryError"),
}


def hide(act) -> None:
    """What a reader with a broad `except` would do."""
    try:
        act()
    except BaseException as error:
        raise InputError("refused") from error


def refuse(reason: str) -> None:
    raise InputError(reason)


# The watch takes the type checks, which read source lines, for what the reader does.
@pytest.mark.usefixtures("types_unchecked")
def test_the_fuzzer_notices_bad_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "fuzz"))
    import fuzz_readers

    monkeypatch.setattr(fuzz_readers, "TIME_LIMIT", 1.0)
    watch = fuzz_readers.Watch()
    path = tmp_path / "a.pkl"
    path.write_bytes(b"N.")
    for name, (read, reason) in BAD_READERS.items():
        result = fuzz_readers.outcome(read, path, watch)
        assert result.verdict == "failed", name
        assert reason in result.reason, name
        assert not path.with_suffix(".new").exists()
    assert fuzz_readers.outcome(fuzz_readers.read_pickle, path, watch).verdict == "read"
    path.write_bytes(b"cos\nsystem\n.")
    assert fuzz_readers.outcome(fuzz_readers.read_pickle, path, watch).verdict == "refused"
