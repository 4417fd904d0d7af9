"""A shape as unpainted clay under five lamps: the picture DECA and EMOCA show shapes with."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments
from emoca_jax.render.lighting import directional_lights

LAMPS = ((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, 1.0), (0.0, 0.0, 1.0))
"""Directions to the lamps in the world (the official `render_shape`)."""
STRENGTH = 1.7
GREY = 180 / 255


@checks_arguments
def clay_image(
    normal_image: Float[Array, "*batch height width 3"], coverage: Float[Array, "*batch height width"]
) -> Float[Array, "*batch height width 3"]:
    """Grey shading of world normals by the official lamps, black where nothing is covered.

    coverage: 1 on the mesh, 0 elsewhere. Differentiable in both. Source: DECA's `render_shape`.
    """
    lamps = jnp.array(LAMPS)
    light = directional_lights(normal_image.reshape(-1, 3), lamps, jnp.full_like(lamps, STRENGTH), official=True)
    return GREY * light.reshape(normal_image.shape) * coverage[..., None]
