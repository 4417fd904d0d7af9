"""Edge functions of one face, rounding by rounding what XLA makes of `edge_functions.py` on a CPU.

XLA's code fuses the first product of a sum or difference of two products with it where the processor can (that of both
jaxlib 0.10 and 0.12 does so everywhere), and so does this: only then do all back ends see the same face everywhere.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding

from emoca_jax.render.backends.edge_functions import OFFICIAL_EPSILON as PLAIN_EPSILON
from emoca_jax.render.backends.edge_functions import SMALLEST as PLAIN_SMALLEST
from emoca_jax.render.backends.kernels.call_frame import fma
from emoca_jax.render.backends.native.dialect import inlined, kernel

FUSES = bool(binding.get_host_cpu_features().get("fma")) or "x86" not in binding.get_process_triple()
ZERO, ONE, SMALLEST, OFFICIAL_EPSILON = (
    np.float32(number) for number in (0.0, 1.0, PLAIN_SMALLEST, PLAIN_EPSILON)
)  # fmt: skip

if FUSES:
    fused = fma
else:

    @inlined
    def fused(a, b, c):
        return a * b + c


@inlined
def cross(a, b, c, d):
    """a b - c d."""
    return fused(a, b, -(c * d))


@inlined
def centre(number, size):
    """As `pixel_centres`."""
    coarse = coarse_reciprocal(size)
    odd = np.float32(2 * number + 1 - size)
    return fused(odd, coarse, odd * np.float32(1.0 / size - np.float64(coarse)))


@inlined
def coarse_reciprocal(size):
    bits = np.float32(1.0 / size).view(np.uint32) & np.uint32(0xFFFFE000)
    return np.uint32(bits).view(np.float32)


@inlined
def pixel_range(low, high, size):
    """First and last pixel whose centres can lie between, as in `blocks.py`; none where the last comes first."""
    half, slack = np.float32(0.5 * size), np.float32(1e-3 + size * 4e-7)
    first = np.ceil((low + ONE) * half - np.float32(0.5) - slack)
    last = np.floor((high + ONE) * half - np.float32(0.5) + slack)
    # Clipped before they become integers, which huge ones cannot.
    first = min(max(first, ZERO), np.float32(size))
    last = min(max(last, np.float32(-1)), np.float32(size - 1))
    return np.int64(first), np.int64(last)


@inlined
def sign(number):
    return ONE if number > ZERO else (-ONE if number < ZERO else ZERO)


@inlined
def doubled_area(ax, ay, bx, by, cx, cy):
    return cross(bx - ax, cy - ay, by - ay, cx - ax)


@kernel
def edge(x0, y0, z0, x1, y1, z1, orientation, perspective, strict):
    """Origin, direction and threshold of the edge from corner 0 to corner 1."""
    along_x, along_y = (x1 - x0) * orientation, (y1 - y0) * orientation
    swap = x1 < x0 or (x1 == x0 and y1 < y0)
    if perspective:
        if (z0 < ZERO) != (z1 < ZERO):
            along_x, along_y = -along_x, -along_y
        swap = abs(z1) > abs(z0) or (abs(z1) == abs(z0) and swap)
    top_left = along_y < ZERO or (along_y == ZERO and along_x > ZERO)
    threshold = ZERO if top_left and not strict else SMALLEST
    if swap:
        return x1, y1, along_x, along_y, threshold
    return x0, y0, along_x, along_y, threshold


@inlined
def inverse_depth(z):
    return ONE / max(abs(z), SMALLEST)
