"""Priors on codes: stay near the mean face, and light without colour."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments


@checks_arguments
def code_energy(code: Float[Array, "*batch size"]) -> Float[Array, ""]:
    """Half the sum of squares, summed over the batch too (not a mean): identity, expression and albedo prior of DECA.

    Source: DECA section 3.3, regularisation; the sum over the batch is the official code's.
    """
    return jnp.sum(jnp.square(code)) / 2


@checks_arguments
def light_colour(light: Float[Array, "*batch 9 3"]) -> Float[Array, ""]:
    """Mean squared deviation of spherical-harmonics coefficients from their mean over RGB: 0 for white light.

    Source: EMOCA's light regulariser (weight 12 in the official configuration of the coarse stage).
    """
    return jnp.mean(jnp.square(jnp.mean(light, axis=-1, keepdims=True) - light))
