"""How numba is to compile: no Python inside or around, no checks, nothing to free."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.extending import intrinsic as numba_intrinsic

# What these make of a function takes other arguments than it has, which no type checker can know.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "no_cpython_wrapper": True,
                            "no_cfunc_wrapper": True, "_nrt": False}  # fmt: skip
kernel: Callable[[Any], Any] = functools.partial(njit, **OPTIONS)
"""Decorator of every function that becomes machine code."""
inlined: Callable[[Any], Any] = functools.partial(njit, **OPTIONS, forceinline=True)
"""The same for what must not stay a call, so that the loop around it does several at once."""
intrinsic: Callable[[Any], Any] = numba_intrinsic
"""Decorator of a function that writes its own machine code."""
ENTRY = types.int64(types.int64)
"""Of what others call: from address to address."""
