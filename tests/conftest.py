"""What every test runs under: one cache of compiled code for the whole run, workers and child processes included, and
types and shapes checked at every call, and nothing promoted silently, neither ranks nor types."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import pytest
from beartype import BeartypeConf, beartype

CACHE_VARIABLE = "EMOCA_JAX_TEST_CACHE"
"""Folder of this run's compiled code; the first process makes it, workers inherit it. One that is given stays."""

_made_here = CACHE_VARIABLE not in os.environ
if _made_here:
    os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="emoca_jax_tests_")
# Before jax is imported. Compiling is four fifths of the tests' time, and much of it would be done again: by the other
# worker, by child processes, by functions that are jitted anew. Nine in ten programs are a few operations, which
# together take as long as the large ones and come back in a third of the time.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.environ[CACHE_VARIABLE])
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# XLA warns with every piece of code it reads back, see compile_cache.enable.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Child processes, too: nothing broadcasts over missing dimensions, no type is promoted silently.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
# Two workers on two cores: torch's own threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background has them ignore ^C, and so would the children that are interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Under nohup they would ignore a closed terminal; of a handler they inherit nothing.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# An int is a float, as PEP 484 has it.
CONFIGURATION = BeartypeConf(is_pep484_tower=True)

IN_OTHER_TYPES = "emoca_jax.render.backends.warp_kernels."
"""Modules whose annotations are for another compiler."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """beartype on every function and every dataclass of the package, except on pytree nodes that jax builds itself:
    its tree functions put axes, shapes, gradients of integers and placeholders where a node promises arrays."""
    if function.__module__.startswith(IN_OTHER_TYPES):
        return function
    check = beartype(conf=CONFIGURATION)(function)
    if function.__name__ != "__init__":
        return check

    @functools.wraps(function)
    def unless_unflattened(*arguments: Any, **named: Any) -> None:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals["__name__"] == "jaxtyping._decorator":
            frame = frame.f_back
        if frame.f_globals["__name__"].partition(".")[0] != "jax":
            check(*arguments, **named)

    return unless_unflattened


jaxtyping.install_import_hook(["emoca_jax", "data_pipelines"], "tests.conftest.checked")


@pytest.fixture
def types_unchecked() -> Iterator[None]:
    """For what a function itself says of a wrong argument: users run without the checks above."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pytest_unconfigure() -> None:
    if _made_here:
        shutil.rmtree(os.environ.pop(CACHE_VARIABLE), ignore_errors=True)
