"""What every test runs under: one cache of compiled code for the whole run, workers and child processes included."""

import os
import shutil
import tempfile

CACHE_VARIABLE = "EMOCA_JAX_TEST_CACHE"
"""Folder of this run's compiled code; the first process makes it, workers inherit it."""

_made_here = CACHE_VARIABLE not in os.environ
if _made_here:
    os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="emoca_jax_tests_")
# Before jax is imported. Compiling is four fifths of the tests' time, and much of it would be done again: by the other
# worker, by child processes, by functions that are jitted anew.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.environ[CACHE_VARIABLE])
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
# XLA warns with every piece of code it reads back, see compile_cache.enable.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two workers on two cores: torch's own threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    if _made_here:
        shutil.rmtree(os.environ.pop(CACHE_VARIABLE), ignore_errors=True)
