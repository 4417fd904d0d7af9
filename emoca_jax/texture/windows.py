"""Small operations on maps: means and minima over windows, smooth steps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def box(values: Float[Array, "size size"], width: int) -> Float[Array, "size size"]:
    """Mean over width x width texels."""
    reach = ((width // 2, width // 2),)
    rows = jax.lax.reduce_window(values, 0.0, jax.lax.add, (width, 1), (1, 1), (*reach, (0, 0)))
    return jax.lax.reduce_window(rows, 0.0, jax.lax.add, (1, width), (1, 1), ((0, 0), *reach)) / width**2


def eroded(mask: Float[Array, "side side"], pixels: int) -> Float[Array, "side side"]:
    """The least value of so many pixels around, in the picture."""
    for window in ((2 * pixels + 1, 1), (1, 2 * pixels + 1)):
        mask = jax.lax.reduce_window(mask, jnp.inf, jax.lax.min, window, (1, 1), "SAME")
    return mask


def ramp(values: Float[Array, "*n"], low: float, high: float) -> Float[Array, "*n"]:
    """0 below low, 1 above high, smooth between."""
    share = jnp.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3 - 2 * share)


def pooled(values: Float[Array, "size size *channels"], cells: int) -> Float[Array, "cells cells *channels"]:
    """Means over blocks, of which there are cells x cells."""
    texels = values.shape[0] // cells
    return values.reshape(cells, texels, cells, texels, *values.shape[2:]).mean((1, 3))
