"""Programs are taken up from a folder by whoever asks for the same, and made where they cannot be."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.files import kept_programs
from emoca_jax.files.kept_programs import keep_in, kept

callable_here: set[str] = set()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    callable_here.clear()
    keep_in(tmp_path, callable_here.__contains__)
    yield tmp_path
    keep_in(None, callable_here.__contains__)
    kept_programs.world.cache_clear()


class Counted:
    """The same function as new processes have it, and how often it was traced."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.traced, self._function, self._options = 0, function, options

    def anew(self) -> Callable[..., Any]:
        def counted(x: Any, *, power: int = 2) -> Any:
            self.traced += 1
            return self._function(x, power)

        return kept(static=("power",), **self._options)(counted)


def powers(x: dict[str, jax.Array], power: int) -> dict[str, Any]:
    # Several fused loops: each is a function that the program has to bring along.
    sums = jnp.cumsum(jnp.sin(x["u"]) ** power)
    return {"wave": jnp.clip(sums / jnp.max(sums), 0, 0.5), "pair": (x["u"].sum(), None)}


def test_a_program_is_traced_once_for_all_processes_and_says_the_same(folder: Path) -> None:
    counted, x = Counted(powers), {"u": np.linspace(0, 1, 300, dtype=np.float32)}
    first = counted.anew()(x)
    again = counted.anew()
    second = again(x)
    assert counted.traced == 1 and len(list(folder.iterdir())) == 1
    jax.tree.map(np.testing.assert_array_equal, first, second)
    np.testing.assert_allclose(first["pair"][0], x["u"].sum(), rtol=1e-6)
    # Another static argument, shape or type is another program.
    for other in (lambda: again(x, power=3), lambda: again({"u": x["u"][:7]}), lambda: again({"u": np.arange(7)})):
        before = counted.traced
        other()
        assert counted.traced == before + 1
    np.testing.assert_array_equal(again(x)["wave"], first["wave"])


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"?" + data[1:], lambda _: b""])
def test_a_damaged_program_is_made_anew_and_put_in_its_place(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    """Not out of JAX's own cache: written from there, it would be found without its functions."""
    counted, x = Counted(powers), {"u": np.linspace(0, 1, 300, dtype=np.float32)}
    wanted = counted.anew()(x)
    (place,) = folder.iterdir()
    place.write_bytes(damage(place.read_bytes()))
    found = counted.anew()(x)
    np.testing.assert_array_equal(found["wave"], wanted["wave"])
    assert counted.traced == 2
    counted.anew()(x)
    assert counted.traced == 2


def test_foreign_functions_are_asked_for_before_a_program_that_calls_them_is_taken_up() -> None:
    counted, x = Counted(lambda x, power: jnp.linalg.svd(x)[1]), np.eye(3, dtype=np.float32)
    counted.anew()(x)
    counted.anew()(x)
    assert counted.traced == 2
    callable_here.add("lapack_sgesdd_ffi")
    np.testing.assert_allclose(counted.anew()(x), 1, atol=1e-6)
    assert counted.traced == 2


def test_a_program_that_lacks_a_kernel_or_is_another_users_is_not_for_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, x = Counted(powers), {"u": np.ones(5, np.float32)}
    keep_in(folder, callable_here.__contains__, is_whole=lambda: False)
    counted.anew()(x)
    assert not list(folder.iterdir())
    keep_in(folder, callable_here.__contains__)
    counted.anew()(x)
    assert counted.traced == 2
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    counted.anew()(x)
    assert counted.traced == 3


def test_inside_other_programs_it_is_a_function_like_any_other(folder: Path) -> None:
    cube = kept()(lambda x: jnp.sum(x**3))
    np.testing.assert_allclose(jax.grad(cube)(jnp.arange(3.0)), 3 * np.arange(3.0) ** 2)
    np.testing.assert_allclose(jax.vmap(cube)(jnp.ones((2, 3))), 3)
    assert not list(folder.iterdir())


def test_the_programs_that_were_taken_up_last_stay(folder: Path) -> None:
    counted, x = Counted(powers), {"u": np.ones(3, np.float32)}
    program = counted.anew()
    program(x)
    (first,) = folder.iterdir()
    for power in range(3, kept_programs.MOST + 2):
        program(x, power=power)
    assert len(list(folder.iterdir())) == kept_programs.MOST
    first.touch()
    program(x, power=99)
    assert first.exists() and len(list(folder.iterdir())) == kept_programs.MOST


def test_what_jax_is_told_meanwhile_makes_another_program() -> None:
    counted, x = Counted(lambda x, power: jnp.cumsum(x) ** power), np.ones(3)
    program = counted.anew()
    assert program(x).dtype == jnp.float32
    with jax.enable_x64(True):
        assert program(x).dtype == jnp.float64
    assert program(x).dtype == jnp.float32 and counted.traced == 2


def test_threads_leave_jax_its_own_cache(folder: Path) -> None:
    """One that comes while another compiles finds the cache switched off, and leaves it on all the same."""
    inside, meanwhile = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait(10)
        meanwhile.set()
        with kept_programs._compiling_anew():
            pass

    thread = threading.Thread(target=second)
    thread.start()
    with kept_programs._compiling_anew():
        inside.set()
        meanwhile.wait(10)
        time.sleep(0.05)
        assert not cache_is_on()
    thread.join()
    assert cache_is_on()


def cache_is_on() -> bool:
    return getattr(jax.config, "jax_enable_compilation_cache")  # noqa: B009


def test_whatever_a_program_is_made_of_tells_it_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak types, names in trees, files of the package, variables and versions."""
    counted, (code, x) = Counted(lambda x, power: x), (tmp_path / "package" / "made.py", np.float32(2))
    code.parent.mkdir()
    code.write_text("made = 1")
    monkeypatch.setattr(kept_programs, "__file__", str(code.parent / "files" / "kept_programs.py"))

    def traced_anew(x: Any) -> bool:
        kept_programs.world.cache_clear()
        before = counted.traced
        found = counted.anew()(x)
        assert jax.tree.structure(found) == jax.tree.structure(x)
        return counted.traced > before

    assert traced_anew(x) and not traced_anew(x)
    assert traced_anew(2.0) and traced_anew({"u": x}) and traced_anew({"v": x})
    assert not traced_anew(x)
    code.write_text("made = 2")
    assert traced_anew(x)
    monkeypatch.setenv("EMOCA_JAX_BACKEND", "jax")
    assert traced_anew(x)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    assert not traced_anew(x)
    monkeypatch.setattr(kept_programs, "_version", lambda package: f"another {package}")
    assert traced_anew(x)


def test_nothing_is_kept_where_there_are_several_devices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    keep_in(folder, callable_here.__contains__)
    np.testing.assert_array_equal(Counted(lambda x, power: x).anew()(np.ones(2, np.float32)), 1)
    assert not list(folder.iterdir())
