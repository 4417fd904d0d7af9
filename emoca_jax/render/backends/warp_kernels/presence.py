"""Whether kernels for GPUs can be had here."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import PackageNotFoundError, version

import jax

from emoca_jax.running_on import backend

OLDEST = (1, 19)
"""Of warp: the first that was tried."""


def why_missing() -> str:
    """Why nothing can be imported, as a clause that says what to do; empty where something can. Imports nothing."""
    try:
        found = version("warp-lang")
    except PackageNotFoundError:
        return "warp is missing; install it with: pip install 'emoca-jax[gpu]'"
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        return f"warp {found} is too old; install a newer one with: pip install --upgrade 'emoca-jax[gpu]'"
    return ""


@functools.cache
def why_not() -> str:
    """Why there are none, likewise; empty where there are."""
    if reason := why_missing():
        return reason
    if "warp" not in sys.modules:
        import warp

        # Compilations are told on stdout, which is not ours; whoever uses warp beside us has it as they like.
        warp.config.log_level = warp.LOG_WARNING
    return ""


def why_not_there() -> str:
    """The same, for the platform that programs run on: kernels draw on NVIDIA's GPUs, and to be tested on a CPU."""
    if reason := why_not():
        return reason
    if backend() not in ("gpu", "cpu"):
        return f'they are for NVIDIA GPUs; on {backend()} choose backend="jax"'
    return _no_gpu() if jax.default_backend() == "gpu" else ""


@functools.cache
def _no_gpu() -> str:
    import warp

    if warp.is_cuda_available():
        return ""
    return "warp cannot use this GPU; it wants one by NVIDIA and a driver of R580 or newer"
