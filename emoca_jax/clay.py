"""A head as unpainted clay under five lamps: the picture DECA and EMOCA show shapes with."""

from __future__ import annotations

import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float

from emoca_jax import render

LAMPS = ((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, 1.0), (0.0, 0.0, 1.0))
"""Directions to the lamps in the world (the official `render_shape`)."""
STRENGTH = 1.7
GREY = 180 / 255


def clay_image(
    normal_image: Float[Array, "*batch height width 3"], coverage: Float[Array, "*batch height width"]
) -> Float[Array, "*batch height width 3"]:
    """Grey shading of world normals by the official lamps, black where nothing is covered.

    coverage: 1 on the head, 0 elsewhere. Source: DECA's `render_shape`.
    """
    directions = render.normalize(jnp.array(LAMPS))
    facing = jnp.einsum("...k,lk->...l", normal_image, directions, precision=Precision.HIGHEST)
    light = STRENGTH * jnp.mean(jnp.clip(facing, 0.0, 1.0), axis=-1)
    return jnp.broadcast_to((GREY * light * coverage)[..., None], normal_image.shape)
