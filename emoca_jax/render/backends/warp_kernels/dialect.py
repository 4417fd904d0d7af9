"""How warp is to compile: no derivatives, and no product fused with a sum but where the code says so.

Which face a pixel sees hangs on every rounding.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import warp as wp


def compiled_exactly(module: str) -> None:
    """To be called by each module with kernels, with its name."""
    wp.set_module_options({"enable_backward": False, "fast_math": False, "fuse_fp": False}, module=sys.modules[module])


def kernel(function: Callable[..., Any]) -> Any:
    """Decorator of what every thread runs. A check of types around it, as tests have it, is no part of it."""
    return wp.kernel(inspect.unwrap(function))


def inlined(function: Callable[..., Any]) -> Any:
    """Decorator of what kernels call."""
    return wp.func(inspect.unwrap(function))


def func_native(code: str) -> Callable[..., Any]:
    """Decorator of what kernels call and is written in C++, for both the CPU and CUDA. Warp reads its name in the
    source, behind a dot, and only then what it returns."""
    return lambda function: wp.func_native(code)(inspect.unwrap(function))
