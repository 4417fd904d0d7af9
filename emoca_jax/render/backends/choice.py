"""Which back end draws: plain JAX, kernels made for this processor, or those for NVIDIA GPUs.

There is one program for all platforms: what is traced holds both ways, and the platform that it is compiled for takes
its own. So code traced beside a CPU and compiled for a GPU or TPU draws in plain JAX there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
from jax import lax

from emoca_jax import running_on
from emoca_jax.errors import InputError
from emoca_jax.render.backends.native import library
from emoca_jax.render.backends.warp.trial import draw_unasked
from emoca_jax.render.backends.warp_kernels import presence

Backend = Literal["jax", "native", "warp"]
"""Plain JAX, kernels compiled for this processor, or kernels for NVIDIA GPUs."""
VARIABLE = "EMOCA_JAX_BACKEND"
"""Environment variable with the back end of calls that name none."""
FLOAT32_ONLY = "they draw in float32; unset jax_enable_x64"


def draws_natively(backend: Backend | None, kernels: library.Library) -> bool:
    """Whether a library of kernels is to be used; None means wherever there is one.

    Errors: InputError for another word, and where kernels are asked for that this machine does not have.
    """
    backend = _asked_for(backend)
    if backend in ("jax", "warp"):
        return False
    platform = jax.default_backend()
    if platform != "cpu":
        if backend == "native":
            raise InputError(f'There are no kernels for {platform}; choose backend="jax" or leave it out.')
        return False
    reason = FLOAT32_ONLY if jax.config.read("jax_enable_x64") else library.why_not(kernels)
    if backend == "native" and reason:
        raise InputError(f"There are no kernels here: {reason}.")
    return not reason


def draws_by_warp(backend: Backend | None) -> bool:
    """Whether the kernels for GPUs are to be used, where there are some for what is drawn; None means on a GPU that has
    drawn by them in a trial (`warp/trial.py`).

    Errors: InputError for another word, and where they are asked for and cannot be had.
    """
    asked = _asked_for(backend)
    if asked is None:
        # What is described beside a CPU is in plain JAX: nobody knows the GPU that it is for.
        here = running_on.backend() == jax.default_backend() == "gpu"
        return here and not jax.config.read("jax_enable_x64") and draw_unasked()
    if asked != "warp":
        return False
    reason = FLOAT32_ONLY if jax.config.read("jax_enable_x64") else presence.why_not_there()
    if reason:
        raise InputError(f"There are no kernels here: {reason}.")
    return True


def _asked_for(backend: Backend | None) -> Backend | None:
    backend = backend or os.environ.get(VARIABLE) or None  # pyright: ignore[reportAssignmentType]
    if backend not in (None, *get_args(Backend)):
        raise InputError(f"backend is {backend!r}; choose {', '.join(map(repr, get_args(Backend)))} or None.")
    return backend


def by_platform(native: Callable[..., Any], plain: Callable[..., Any], *arguments: Any) -> Any:
    """`native` of the arguments where they are computed on a CPU, `plain` elsewhere."""
    return lax.platform_dependent(*arguments, cpu=native, default=plain)
