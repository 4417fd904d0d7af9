"""Expression units off the landmarks of a photo: no head, no fit, a tenth of a millisecond.

What a fit of a head's geometry to landmarks cannot tell (pressed from rolled lips, a frown from a lowered lip), a
network that has seen many sets of landmarks with their units can.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import to_rank
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.products import PRECISION

POINTS = len(EXPRESSION_POINTS)
UNITS = 52
BOTTLENECK, FEATURES, LAYERS = 96, 224, 2
"""Directions in which landmarks are seen, and width and number of what follows: 227 KB of half floats."""
SPREAD = 0.05
"""How far landmarks stray from the mean face, in parts of its size: what the network sees has unit size."""


class UnitReader(nn.Module):
    """Landmarks laid over the mean face -> strength of each unit, 0 to 1. Position, scale and roll are lost before."""

    @nn.compact
    def __call__(self, points: Float[Array, "*batch 146 2"]) -> Float[Array, "*batch 52"]:
        mean = self.param("mean", nn.initializers.zeros, (POINTS, 2))
        strayed = (laid_over(points, mean) - to_rank(mean, points.ndim)) / SPREAD
        x = _dense(BOTTLENECK, "bottleneck")(strayed.reshape(*strayed.shape[:-2], 2 * POINTS))
        for index in range(LAYERS):
            x = nn.gelu(_dense(FEATURES, f"hidden{index}")(x))
        return nn.sigmoid(_dense(UNITS, "output")(x))


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, precision=PRECISION, name=name)


def laid_over(
    points: Float[Array, "*batch points 2"], mean: Float[Array, "points 2"]
) -> Float[Array, "*batch points 2"]:
    """Points turned, scaled and moved to where they are nearest to the mean face, in least squares.

    mean: centred, not all in one place. Points that all lie in one place stay there, at its middle.
    """
    centred = points - jnp.mean(points, axis=-2, keepdims=True)
    x, y = centred[..., 0], centred[..., 1]
    right, down = (to_rank(mean[:, axis], x.ndim) for axis in (0, 1))
    along = jnp.sum(x * right + y * down, axis=-1)
    across = jnp.sum(x * down - y * right, axis=-1)
    # As complex numbers: the least squares factor is <centred, mean> / |centred|^2.
    size = jnp.sum(centred**2, axis=(-2, -1))
    size = jnp.where(size > 0, size, 1.0)
    real, imaginary = (part[..., None] / size[..., None] for part in (along, across))
    return jnp.stack([real * x - imaginary * y, imaginary * x + real * y], axis=-1)
