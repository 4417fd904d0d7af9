"""Does the rendering look like the same person to a face recognition network? The network's features are passed in."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.arrays import checks_arguments

NORM_FLOOR = 1e-8
"""Smallest product of lengths (what torch's cosine similarity divides by at least)."""


@checks_arguments
def cosine_similarity(
    first: Float[Array, "*batch size"], second: Float[Array, "*batch size"]
) -> Float[Array, "*batch"]:
    """Cosine of the angle between vectors; 0 where one of them is zero, with finite gradients."""
    product = jnp.sum(first * second, axis=-1)
    squared = jnp.sum(first * first, axis=-1) * jnp.sum(second * second, axis=-1)
    return product / jnp.sqrt(jnp.maximum(squared, NORM_FLOOR**2))


@checks_arguments
def identity_distance(features: Float[Array, "*batch size"], target: Float[Array, "*batch size"]) -> Float[Array, ""]:
    """Mean of 1 - cos between features of rendering and photo. Source: DECA equation 7."""
    return jnp.mean(1 - cosine_similarity(features, target))


@checks_arguments
def rendering_over_photo(
    albedo: Float[Array, "*batch height width 3"],
    shading: Float[Array, "*batch height width 3"],
    mask: Float[Array, "*batch height width"],
    image: Float[Array, "*batch height width 3"],
) -> Float[Array, "*batch height width 3"]:
    """What the network sees: the rendered face where the mask is, the photo around it.

    DECA draws albedo and shading from detached albedo and light codes, so that the face must be recognised by its
    shape; that is the caller's to do.
    """
    return render.over(image, albedo * shading * mask[..., None], mask)
