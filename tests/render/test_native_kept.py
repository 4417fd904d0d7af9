"""Compiled kernels as they are kept: whose they are, when they are used, and when there are none."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from emoca_jax.render.backends import choice
from emoca_jax.render.backends.native import library
from tests.render.conftest import MISSING

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")
CHILD = """
import sys, time
if "without" in sys.argv: sys.modules["numba"] = sys.modules["llvmlite"] = None
import jax.numpy as jnp
from emoca_jax.render import rasterize, soft_silhouette
from emoca_jax.render.backends.native import library
found = rasterize(jnp.array([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]]), jnp.array([[0, 1, 2]]), (4, 4))
print(library.why_not("hard")[:16], int((found.face_index >= 0).sum()), "numba" in sys.modules)
"""


def in_new_process(cache, *words):
    environment = os.environ | {"EMOCA_JAX_CACHE": str(cache)}
    environment.pop(choice.VARIABLE, None)
    command = [sys.executable, "-W", "error", "-c", CHILD, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.stderr


def test_kept_code_is_not_used_where_a_constant_in_it_has_changed():
    """Whatever the kernels take from files outside of their folder is in the name of what is kept."""
    taken = {
        name
        for path in (library.BACKENDS / "kernels").glob("*.py")
        for name in re.findall(r"^from emoca_jax\.render\.backends\.([\w.]+) import", path.read_text(), re.MULTILINE)
        if not name.startswith("kernels.")
    }
    assert {f"{name.replace('.', '/')}.py" for name in taken} == set(library.SHARED)


def test_kept_code_is_not_used_where_it_would_be_compiled_otherwise(tmp_path, monkeypatch):
    """Nor where a kernel is another."""
    shutil.copytree(library.BACKENDS, tmp_path / "backends")
    monkeypatch.setattr(library, "BACKENDS", tmp_path / "backends")
    keys = {library._key()}
    for name in ("native/compiling.py", "kernels/surface_gradient.py", *library.SHARED):
        with (tmp_path / "backends" / name).open("a") as file:
            file.write("# other\n")
        keys.add(library._key())
    assert len(keys) == 3 + len(library.SHARED)


@pytest.mark.thorough
def test_kept_code_is_the_users_alone_and_heals(tmp_path):
    folder = tmp_path / "cache"
    assert in_new_process(folder) == ("8 False", "")
    (kept,) = folder.rglob("kernels-hard-*.o")
    whole = kept.read_bytes()
    assert kept.parent.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700
    kept.write_bytes(whole[:-1])
    assert in_new_process(folder) == ("8 False", "")
    assert len(kept.read_bytes()) == len(whole)
    folder.chmod(0o770)
    assert in_new_process(folder) == (f"{folder} is"[:16] + " 8 False", "")


@pytest.mark.skipif(os.access("/", os.W_OK), reason="this user may write everywhere")
def test_kept_code_is_read_where_nothing_can_be_written(tmp_path):
    folder = tmp_path / "cache"
    assert in_new_process(folder) == ("8 False", "")
    (kept,) = folder.rglob("kernels-hard-*.o")
    before = kept.stat().st_mtime_ns
    kept.parent.chmod(0o500)
    try:
        assert in_new_process(folder) == ("8 False", "")
        assert kept.stat().st_mtime_ns == before
        kept.parent.chmod(0o700)
        kept.unlink()
        kept.parent.chmod(0o500)
        assert in_new_process(folder) == ("there is no fold 8 False", "")
    finally:
        kept.parent.chmod(0o700)


def test_without_numba_or_a_folder(tmp_path):
    assert in_new_process(tmp_path / "cache", "without") == ("numba is missing 8 True", "")
    assert in_new_process("") == ("there is no fold 8 False", "")
    assert importlib.util.find_spec("numba")
