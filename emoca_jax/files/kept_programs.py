"""Compiled programs that later processes take up whole, neither traced nor lowered again.

JAX's own cache keeps what the compiler makes of a program, and has the program traced in every process to find it
there: of a short run on one photo that is the greater part. Where a folder is given (`keep_in`), `kept` functions are
found there by what goes in and by what they were made of: this package's files, JAX and what it was told.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.core import Tracer

from emoca_jax.files.code_cache import processor
from emoca_jax.files.regular import open_regular
from emoca_jax.files.whole import write_file

R = TypeVar("R")
PACKAGES = ("jax", "jaxlib", "numpy", "flax", "optax", "opt_einsum", "numba", "llvmlite")
"""Whose versions a program depends on, if only by what it is made of where one is missing."""
TOLD_BY = ("JAX_", "XLA_", "EMOCA_JAX_BACKEND")
"""Beginnings of environment variables that tell how programs are made."""
BESIDE_THE_POINT = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "JAX_LOG", "JAX_DEBUG_LOG")
"""Beginnings of those among them that change no program."""
SETTINGS = (
    "jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_default_prng_impl",
    "jax_threefry_partitionable",
)  # fmt: skip
"""What JAX may be told anew while a process runs, for a few lines, too."""
BEGINNING = "program-"
"""Of the names of their files."""
MOST = 8
"""Programs kept of one function: for other shapes and devices, or of other versions, which nobody takes up any more."""
CALLED = re.compile(r"custom_call @(\w+)|call_target_name = \"(\w+)\"")
"""Names of foreign functions in the text of a program."""
CONFIG: Any = jax.config
_lock = threading.Lock()


@dataclass
class _Place:
    """Where programs are kept in this process; as `keep_in` takes them."""

    folder: Path | None = None
    can_call: Callable[[str], bool] = bool
    is_whole: Callable[[], bool] = bool


_place = _Place()


def keep_in(
    folder: Path | None, can_call: Callable[[str], bool], *, is_whole: Callable[[], bool] = lambda: True
) -> None:
    """Keep programs in a folder from now on, None for no longer. What lies there is executed: it must be the user's.

    can_call: whether a foreign function of this name can be called in this process, which it sees to if it can be done.
    is_whole: False once a program had to do without one that should be there: such programs are not kept.
    Only where the one device is a CPU: nobody has tried others.
    """
    alone = jax.default_backend() == "cpu" and jax.device_count() == 1
    _place.folder, _place.can_call, _place.is_whole = folder if alone else None, can_call, is_whole


def kept(*, static: tuple[str, ...] = (), **options: Any) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """`jax.jit` of a function, whose programs are kept where `keep_in` says.

    static: its `static_argnames`. options: its others.
    """

    def wrapped(function: Callable[..., R]) -> Callable[..., R]:
        jitted = jax.jit(function, static_argnames=static, **options)
        return cast(Callable[..., R], KeptProgram(jitted, function, static))

    return wrapped


class KeptProgram:
    """A jitted function with its kept programs; inside other programs, or where none are kept, the function alone."""

    def __init__(self, jitted: Any, function: Callable[..., Any], static: tuple[str, ...]) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__, self.lower, self._static = jitted, jitted.lower, frozenset(static)
        self._signature, self._known = inspect.signature(function), {}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if _place.folder is None or CONFIG.jax_disable_jit:
            return self.__wrapped__(*arguments, **named)
        bound = self._signature.bind(*arguments, **named)
        bound.apply_defaults()
        still = {name: value for name, value in bound.arguments.items() if name in self._static}
        given = {name: value for name, value in bound.arguments.items() if name not in self._static}
        leaves, tree = jax.tree.flatten(given)
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self.__wrapped__(*arguments, **named)
        settings = tuple(getattr(CONFIG, name) for name in SETTINGS)
        key = tuple(sorted(still.items())), tree, tuple(map(_kind, leaves)), settings
        if key in self._known:
            return self._known[key](**given)
        place = self._file(_place.folder, key)
        # A program that was made elsewhere is waited for: should it fail, one that is made here takes its place.
        with contextlib.suppress(Exception):
            program = _read(place, jax.tree.structure(((), given)))
            results = jax.block_until_ready(program(**given))
            self._known[key] = program
            return results
        self._known[key] = self._made(place, still, given)
        return self._known[key](**given)

    def _file(self, folder: Path, key: tuple[Any, ...]) -> Path:
        name = f"{self.__wrapped__.__module__}.{self.__wrapped__.__qualname__}".removeprefix("emoca_jax.")
        told = hashlib.sha256(f"{world()}\n{name}\n{key}".encode()).hexdigest()
        return folder / f"{BEGINNING}{name}-{told[:24]}"

    def _made(self, place: Path, still: dict[str, Any], given: dict[str, Any]) -> Callable[..., Any]:
        lowered = self.lower(**given, **still)
        with _compiling_anew():
            program = lowered.compile()
        # A full disk, or a program that cannot be written: the next process makes it again.
        with contextlib.suppress(Exception):
            if _place.is_whole():
                _write(place, program, _called(lowered))
                _forget(place)
        return program


def _kind(leaf: Any) -> tuple[Any, ...]:
    if isinstance(leaf, np.ndarray):
        return leaf.shape, leaf.dtype, False
    shaped: Any = leaf if isinstance(leaf, jax.Array) else jax.api_util.shaped_abstractify(leaf)
    return shaped.shape, shaped.dtype, shaped.weak_type


@functools.cache
def world() -> str:
    """What any program of this process is made of, but its own shapes: 12 characters."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    told = {name: value for name, value in os.environ.items() if name.startswith(TOLD_BY)}
    told = {name: value for name, value in told.items() if not name.startswith(BESIDE_THE_POINT)}
    states = processor(), [(name, _version(name)) for name in PACKAGES], sorted(told.items())
    return hashlib.sha256(f"{found.hexdigest()} {states}".encode()).hexdigest()[:12]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@contextlib.contextmanager
def _compiling_anew() -> Iterator[None]:
    """JAX's cache is left aside: a program that comes out of it cannot be written once more (its functions are not
    found when it is run again)."""
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    with _lock:
        # Read in here: another thread may have it switched off just now.
        used = CONFIG.jax_enable_compilation_cache
        jax.config.update("jax_enable_compilation_cache", False)
        # Whether there is a cache is found out once.
        reset_cache()
        try:
            yield
        finally:
            jax.config.update("jax_enable_compilation_cache", used)
            reset_cache()


def _called(lowered: Any) -> list[str]:
    """Foreign functions that a program calls."""
    return sorted({"".join(names) for names in CALLED.findall(lowered.as_text())})


def _write(place: Path, program: Any, called: list[str]) -> None:
    from jax.experimental.serialize_executable import serialize

    code, _, results = serialize(program)
    # Trees of results are no plain data; an object of that structure is.
    result = jax.tree.unflatten(results, range(results.num_leaves))
    data = pickle.dumps((called, pickle.dumps(result), code))
    write_file(place, hashlib.sha256(data).digest() + data)


def _read(place: Path, arguments: Any) -> Callable[..., Any]:
    """The program in a file. Errors: any, where there is none, it is damaged, or calls what cannot be called here."""
    from jax.experimental.serialize_executable import deserialize_and_load

    with open_regular(place) as file:
        # The folder may once have been open to others.
        if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
            raise ValueError(f"{place} is not the user's")
        data = file.read()
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise ValueError(f"{place} is damaged")
    called, result, code = pickle.loads(data[32:])
    if not all(map(_place.can_call, called)):
        raise ValueError(f"{place} calls what is not here")
    place.touch()
    return deserialize_and_load(code, arguments, jax.tree.structure(pickle.loads(result)))


def _forget(place: Path) -> None:
    """Remove all programs of a function but those that were taken up last."""
    like = place.name.rpartition("-")[0]
    found = sorted(place.parent.glob(f"{like}-*"), key=lambda path: path.stat().st_mtime)
    for path in found[:-MOST]:
        path.unlink(missing_ok=True)
