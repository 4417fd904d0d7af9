"""^C and SIGTERM end the command at once, at any moment, with one line; one surprise costs one photo."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.jobs import reconstruct as capture
from tests.export.made_up_face import made_up_face

SOURCE = os.fspath(Path(__file__).parents[2])


def interrupted(folder, code, moment, name="SIGINT"):
    """Exit code, seconds it took to end, and stderr."""
    arguments = ["-m", "emoca_jax", "reconstruct", "a.png", "--output", "out"]
    process = subprocess.Popen(
        [sys.executable, *(["-c", code] if code else arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": SOURCE, "EMOCA_JAX_CACHE": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if code:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        # Python's own start, before any code of ours, is Python's.
        status = Path(f"/proc/{process.pid}/status")
        while not code and status.exists() and not _is_guarded(status.read_text(), getattr(signal, name)):
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(moment)
        started = time.monotonic()
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=30)
        return process.returncode, time.monotonic() - started, err
    finally:
        process.kill()


def _is_guarded(status, number):
    """SIGTERM has a handler only once the guard is there; SIGINT has Python's before."""
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGHUP - 1) & 1)


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("moment", [0, 0.02, 0.1, 0.3, 0.8, 1.6, 3.0])
def test_at_any_moment(tmp_path, moment):
    Image.new("RGB", (640, 640), "red").save(tmp_path / "a.png")
    code, seconds, err = interrupted(tmp_path, None, moment)
    lines = [line for line in err.splitlines() if "compiling" not in line]
    if code == 2 and "no face" in err:
        return  # it was faster
    assert code == 130 and seconds < 5, err
    assert len(lines) == 1 and lines[0].startswith("emoca: interrupted"), err


FIRST = """
import importlib, os, signal, sys
known = set(sys.modules)
import emoca_jax.__main__
print(*sorted(set(sys.modules) - known))
"""
LOADING = """
import sys, time
from emoca_jax.__main__ import main
class Slow:
    def find_spec(self, name, *_):
        if name == "emoca_jax.cli":
            print("ready", flush=True)
            time.sleep(20)
sys.meta_path.insert(0, Slow())
main()
"""


def test_nothing_that_takes_time_comes_before_the_guard():
    began = [sys.executable, "-S", "-c", FIRST]
    told = subprocess.run(began, env={"PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["emoca_jax", "emoca_jax.__main__"]


def test_while_the_command_itself_is_imported(tmp_path):
    code, seconds, err = interrupted(tmp_path, LOADING, 0)
    assert code == 130 and seconds < 5 and err == "emoca: interrupted\n"


CALLBACK = """
import gc, sys, time
from emoca_jax.files.ending import end_on_signals
end_on_signals()
gc.callbacks.append(lambda *_: (print("ready", flush=True), time.sleep(20)))
gc.collect()
"""
COMPILED = """
from emoca_jax.files.ending import end_on_signals
end_on_signals()
import numpy as np, jax
print("ready", flush=True)
jax.jit(lambda x: jax.lax.fori_loop(0, 10**9, lambda i, y: y * 0.999 + i, x))(np.ones(10**4)).block_until_ready()
"""
WORDS = """
import time
from emoca_jax.files.ending import end_on_signals, last_words
end_on_signals()
with last_words(lambda: time.sleep(20)):
    print("ready", flush=True)
    time.sleep(20)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("code", [CALLBACK, COMPILED, WORDS], ids=["callback", "compiled", "words"])
@pytest.mark.parametrize(("name", "ends"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_in_callbacks_and_compiled_code(tmp_path, code, name, ends):
    found, seconds, err = interrupted(tmp_path, code, 0.3, name)
    assert found == ends and seconds < 5 and err.startswith("emoca: ") and err.count("\n") == 1


def test_one_surprise_costs_one_photo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (64, 64)).save(name)

    def surprising(model, image, *, faces="all", method=None):
        if image.name == "a.png":
            raise ZeroDivisionError("division by\nzero")
        if image.name == "b.png":
            raise MemoryError
        return [made_up_face()]

    monkeypatch.setattr(capture, "load_model", lambda *_, **__: None)
    monkeypatch.setattr(capture, "reconstruct", surprising)
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    assert main(["reconstruct", "a.png", "b.png", "c.png", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert "1 face from 1 photo in output; 2 failed" in out
    assert (
        "emoca: a.png: an error that was not foreseen, please report it (ZeroDivisionError: division by zero)\n" in err
    )
    assert "emoca: b.png: does not fit into memory" in err


def test_a_working_folder_that_is_gone(tmp_path):
    script = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m emoca_jax info a.png"
    environment = os.environ | {"PYTHONPATH": SOURCE}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert (done.stderr or done.stdout).startswith(("emoca: ", "a.png"))


def test_characters_that_a_terminal_lacks(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "café 顔.png")
    done = subprocess.run(
        [sys.executable, "-m", "emoca_jax", "info", "café 顔.png"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": SOURCE, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "caf\\xe9 \\u9854.png" in done.stdout and "Traceback" not in done.stderr
