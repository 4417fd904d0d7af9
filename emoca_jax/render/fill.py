"""Filling the gaps of an image from what is known around them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments


@checks_arguments
def halve(image: Float[Array, "height width channels"]) -> Float[Array, "height/2 width/2 channels"]:
    """Mean of each 2 x 2 block. Differentiable."""
    height, width, channels = image.shape
    return image.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))


@checks_arguments
def push_pull(
    values: Float[Array, "size size channels"], weights: Float[Array, "size size 1"]
) -> Float[Array, "size size channels"]:
    """A smooth image that equals `values` where weights are 1 and continues them where weights are 0.

    Weighted means over ever larger blocks are pushed up a pyramid; on the way down each level keeps what it knows and
    takes the rest from the level above (Gortler et al. 1996, The Lumigraph, section 3.4.3). size: a power of two.
    Zero where nothing at all is known. Differentiable in `values`.
    """
    size = values.shape[0]
    known = jnp.minimum(weights, 1.0)
    if size == 1:
        return known * values
    mass = halve(weights)
    coarse = halve(weights * values) / jnp.maximum(mass, 1e-12)
    # One known pixel out of four is enough for a block to be known.
    coarse = push_pull(coarse, jnp.minimum(4 * mass, 1.0))
    around = jax.image.resize(coarse, values.shape, "linear")
    return known * values + (1 - known) * around
