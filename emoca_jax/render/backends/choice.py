"""Which back end draws: plain JAX, or kernels made for the platform.

There is one program for all platforms: what is traced holds both ways, and the platform that it is compiled for takes
its own. So code traced beside a CPU and compiled for a GPU or TPU draws in plain JAX there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
from jax import lax

from emoca_jax.errors import InputError
from emoca_jax.render.backends.kernels import library

Backend = Literal["jax", "native"]
"""Plain JAX, or kernels compiled for this processor."""
VARIABLE = "EMOCA_JAX_BACKEND"
"""Environment variable with the back end of calls that name none."""


def draws_natively(backend: Backend | None, kernels: library.Library) -> bool:
    """Whether a library of kernels is to be used; None means wherever there is one.

    Errors: InputError for another word, and where kernels are asked for that this machine does not have.
    """
    backend = backend or os.environ.get(VARIABLE) or None  # pyright: ignore[reportAssignmentType]
    if backend not in (None, *get_args(Backend)):
        raise InputError(f'backend is {backend!r}; choose "jax", "native" or None.')
    if backend == "jax":
        return False
    platform = jax.default_backend()
    if platform != "cpu":
        if backend == "native":
            raise InputError(f'There are no kernels for {platform}; choose backend="jax" or leave it out.')
        return False
    if jax.config.read("jax_enable_x64"):
        reason = "they draw in float32; unset jax_enable_x64"
    else:
        reason = library.why_not(kernels)
    if backend == "native" and reason:
        raise InputError(f"There are no kernels here: {reason}.")
    return not reason


def by_platform(native: Callable[..., Any], plain: Callable[..., Any], *arguments: Any) -> Any:
    """`native` of the arguments where they are computed on a CPU, `plain` elsewhere."""
    return lax.platform_dependent(*arguments, cpu=native, default=plain)
