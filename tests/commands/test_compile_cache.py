"""Compiled code goes where the system keeps such things, and its absence breaks nothing."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from emoca_jax.commands import compile_cache
from emoca_jax.files import code_cache, kept_programs

HOME = Path.home()


@pytest.mark.parametrize(
    ("environment", "system", "folder"),
    [
        ({}, "linux", HOME / ".cache/emoca_jax"),
        ({"XDG_CACHE_HOME": str(HOME / "xdg")}, "linux", HOME / "xdg/emoca_jax"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", HOME / ".cache/emoca_jax"),
        ({}, "darwin", HOME / "Library/Caches/emoca_jax"),
        ({"LOCALAPPDATA": str(HOME / "local")}, "win32", HOME / "local/emoca_jax/Cache"),
        ({"EMOCA_JAX_CACHE": "~/mine", "XDG_CACHE_HOME": str(HOME)}, "linux", HOME / "mine"),
        ({"EMOCA_JAX_CACHE": ""}, "linux", None),
    ],
)
def test_folder_by_the_customs_of_the_system(environment, system, folder):
    assert code_cache.cache_folder(environment, system) == folder


CODE = """
from emoca_jax.commands import compile_cache
folder = compile_cache.enable()
import jax, jax.numpy as jnp
from jax import monitoring
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
hits, traced = [], []
monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None)
jax.jit(lambda x: jnp.sin(x) * 3 + 1)(jnp.ones(7)).block_until_ready()
monitoring.register_event_duration_secs_listener(
    lambda name, *_, **told: traced.append(told.get("fun_name")) if name.endswith("jaxpr_trace_duration") else None)
landmark_units(load_unit_reader(), jnp.arange(478 * 3, dtype="float32").reshape(478, 3))
print(folder is not None, compile_cache.is_warm(folder), len(hits) > 0, "landmark_units" in str(traced))
compile_cache.mark_warm(folder)
"""


def in_new_process(cache):
    environment = os.environ | {"EMOCA_JAX_CACHE": str(cache)}
    # What importing jax leaves behind in this process, and a cache of one's own for all of jax.
    for name in ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def test_the_second_process_finds_what_the_first_compiled(tmp_path):
    assert in_new_process(tmp_path / "cache") == (["True", "False", "False", "True"], "")
    assert in_new_process(tmp_path / "cache") == (["True", "True", "True", "False"], ""), "and XLA is silent about it"


def test_programs_that_are_made_anew_are_announced_anew(tmp_path, monkeypatch):
    compile_cache.mark_warm(tmp_path)
    assert compile_cache.is_warm(tmp_path) and not compile_cache.is_warm(tmp_path, what="encoder")
    monkeypatch.setenv("EMOCA_JAX_BACKEND", "jax")
    kept_programs.world.cache_clear()
    try:
        assert not compile_cache.is_warm(tmp_path)
    finally:
        monkeypatch.undo()
        kept_programs.world.cache_clear()


def entries(cache):
    return [path for path in cache.rglob("*-cache") if path.is_file()]


@pytest.mark.thorough
@pytest.mark.parametrize("damage", ["empty", "cut", "pipe"])
def test_damaged_entries_heal(tmp_path, damage):
    """What a full disk leaves: no word about it, and the next run finds good ones again."""
    in_new_process(tmp_path / "cache")
    whole = {path: path.read_bytes() for path in entries(tmp_path / "cache")}
    for path, data in whole.items():
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
        if damage == "pipe":
            path.unlink()
            os.mkfifo(path)
    assert whole and in_new_process(tmp_path / "cache") == (["True", "True", "False", "False"], "")
    assert in_new_process(tmp_path / "cache") == (["True", "True", "True", "False"], "")


@pytest.mark.thorough
def test_nobody_else_may_write_the_folder(tmp_path):
    old = os.umask(0)
    try:
        in_new_process(tmp_path / "cache")
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "cache", *(tmp_path / "cache").iterdir())}
    assert modes == {0o700}
    (tmp_path / "cache").chmod(0o770)
    out, err = in_new_process(tmp_path / "cache")
    assert out == ["False", "False", "False", "True"] and "others may write to it" in err and err.count("\n") == 1


def test_a_folder_of_somebody_else(tmp_path, monkeypatch):
    assert code_cache.who_else_may_write(tmp_path) == ""
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert "belongs to another user" in code_cache.who_else_may_write(tmp_path)


@pytest.mark.parametrize(
    ("setting", "says"),
    [("EMOCA_JAX_CACHE=~nosuch/x", "there is no such user"), ("JAX_PLATFORMS=cuda", "JAX finds no device")],
)
def test_settings_that_lead_nowhere(setting, says):
    name, _, value = setting.partition("=")
    if value == "cuda" and any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is one")
    command = [sys.executable, "-m", "emoca_jax", "info"]
    done = subprocess.run(command, env=os.environ | {name: value}, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("emoca: ") and says in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    out, err = in_new_process(tmp_path / "file" / "cache")
    assert out == ["False", "False", "False", "True"] and not err


def test_no_whole_programs_lie_where_nobody_looked_who_may_write(monkeypatch):
    """In a folder that JAX was given: what lies there is not unpickled."""
    from emoca_jax.commands import compile_cache
    from emoca_jax.files import kept_programs

    monkeypatch.delenv("EMOCA_JAX_CACHE", raising=False)
    given = jax.config.values["jax_compilation_cache_dir"]
    assert given, "all tests run with one"
    assert compile_cache.enable() == Path(given)
    assert kept_programs._Place.folder is None
